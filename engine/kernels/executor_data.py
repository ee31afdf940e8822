"""What a version carries for an executor: all that a decision needs but the model itself.

One ``.npz`` without pickle, the same bytes from the same values. An executor reads it with NumPy
alone, and goes on after the last bar of the training without its history.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.calendars import BARS, CONTINUOUS
from brain.errors import BrainError, InputError, ModelIntegrityError
from brain.session_bars import stretch_bars
from brain.text import moment
from engine.kernels.columns import Floats, Times
from engine.kernels.incremental.recent_bars import Arrays
from engine.kernels.position import PositionRule
from engine.kernels.regime_state import RegimeDefinition, RegimeState

__all__ = ["ExecutorData", "Memory"]

_FORMAT = 1
_HEAD = "head"
_DAY_NS = 24 * 3_600_000_000_000
# The least date that a zip holds: a clock's would make other bytes each time.
_DATE = (1980, 1, 1, 0, 0, 0)
# Truth values, whole numbers, floats and texts.
_KINDS = "biufU"
# Bytes of all arrays; a look-back of a year of minutes has a tenth of it.
_MOST = 512_000_000
_CURE = "fetch the version again, or register it anew"


@dataclass(frozen=True, repr=False, eq=False)
class Memory(Brief):
    """What the incremental kernels go on from after a series' last bar, and its sessions to come.

    Attributes:
        features, regimes, market, sentiment, liquidations: the arrays of the kernels' classes in
            :mod:`engine.kernels.incremental`; of the last three none where there are no series.
        settlements: the same of the funding that positions pay; none where they pay none.
        session_anchors_ns, session_opens_ns, session_closes_ns: (S,) stretches of trading from
            the bars of ``features`` to two years ahead, and the moments from which their bars are
            counted, see :class:`brain.series.calendars.Stretches`; none where the calendar is
            continuous or that of the bars themselves.
    """

    features: Arrays
    regimes: Arrays
    market: Arrays
    settlements: Arrays
    session_anchors_ns: Times
    session_opens_ns: Times
    session_closes_ns: Times
    sentiment: Arrays = field(default_factory=dict)
    liquidations: Arrays = field(default_factory=dict)


@dataclass(frozen=True, repr=False, eq=False)
class ExecutorData(Brief):
    """A version's data for an executor.

    Attributes:
        symbol, timeframe, calendar: of the bars.
        timeframe_ns: length of a bar that no session cuts off.
        horizon: bars that a position is held.
        family: of the model.
        names: (F,) of the model's inputs, in order.
        feature_set: name of these features and their formulas.
        look_back: rows that a prediction needs, its own included: T.
        rule: from predictions to positions.
        memory: of the kernels at the last bar of the training.
        recent: (T, F) the last rows of the model's inputs, oldest first.
        golden_rows: (G, F) inputs for a test of a loaded model, or windows (G, T, F) where it looks
            back over several rows; some values are missing.
        golden_predictions: (G,) what MLflow's pyfunc predicts on them from the version's files.
    """

    symbol: str
    timeframe: str
    calendar: str
    timeframe_ns: int
    horizon: int
    family: str
    names: tuple[str, ...]
    feature_set: str
    look_back: int
    rule: PositionRule
    memory: Memory
    recent: Floats
    golden_rows: Floats
    golden_predictions: Floats

    @property
    def trained_until_ns(self) -> int:
        """The close of the last bar of the training, nanoseconds since 1970 UTC."""
        return int(self.memory.features["close_time_ns"][-1])

    @cached_property
    def definition(self) -> RegimeDefinition:
        """Of the regimes."""
        return RegimeDefinition.from_json(str(self.memory.regimes["definition"]))

    @cached_property
    def regimes(self) -> RegimeState:
        """The regimes' state at the last bar of the training."""
        return RegimeState.from_json(str(self.memory.regimes["state"]))

    def closes(self, after_ns: int, until_ns: int) -> Times:
        """The closes of the bars that the calendar expects after a moment, up to another one.

        Args:
            after_ns, until_ns: nanoseconds since 1970 UTC; the first is excluded, the last is not.

        Returns:
            Ascending; none where the bars themselves are the calendar, which tells nothing of
            bars to come.

        Raises:
            InputError: the sessions of these times are not among the data.
        """
        if self.calendar == BARS:
            return np.empty(0, dtype=np.int64)
        if self.calendar == CONTINUOUS:
            step = self.timeframe_ns
            first = -((self.trained_until_ns - after_ns - 1) // step)
            last = (until_ns - self.trained_until_ns) // step
            return self.trained_until_ns + step * np.arange(first, last + 1)
        expected = self._session_bars[1]
        if after_ns < expected[0] or until_ns > expected[-1]:
            raise InputError(
                f"the version's sessions of {self.calendar} are those from "
                f"{moment(int(expected[0]))} to {moment(int(expected[-1]))}, asked were "
                f"{moment(after_ns)} to {moment(until_ns)}; take a version of a later night"
            )
        begin, end = np.searchsorted(expected, [after_ns, until_ns], side="right")
        return expected[begin:end]

    def opened(self, close_ns: int) -> int:
        """When a bar opened, nanoseconds since 1970 UTC.

        Of sessions that are not among the data a whole bar before its close.
        """
        if self.calendar not in (BARS, CONTINUOUS):
            opens, closes = self._session_bars
            at = int(closes.searchsorted(close_ns))
            if at < len(closes) and closes[at] == close_ns:
                return int(opens[at])
        return close_ns - self.timeframe_ns

    @cached_property
    def _session_bars(self) -> tuple[Times, Times]:
        """Their opens and closes."""
        memory = self.memory
        if self.timeframe_ns >= _DAY_NS:
            return memory.session_opens_ns, memory.session_closes_ns
        columns = memory.session_anchors_ns, memory.session_opens_ns, memory.session_closes_ns
        return stretch_bars(*columns, self.timeframe_ns)[1:]

    def to_bytes(self) -> bytes:
        """A compressed ``.npz``, the same for the same values."""
        head = {"format": _FORMAT, "rule": self.rule.to_json()}
        head |= {name: getattr(self, name) for name in _PLAIN}
        arrays: dict[str, NDArray[np.generic]] = {
            _HEAD: np.array(json.dumps(head)),
            **{name: getattr(self, name) for name in _ARRAYS},
            **{name: getattr(self.memory, name) for name in _SESSIONS},
        }
        for kernel in _KERNELS:
            values: Arrays = getattr(self.memory, kernel)
            arrays |= {f"{kernel}/{name}": values[name] for name in sorted(values)}
        file = BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                content = BytesIO()
                np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
                entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
                archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> ExecutorData:
        """The inverse of :meth:`to_bytes`.

        Raises:
            ModelIntegrityError: the bytes are of something else, or of another format.
        """
        try:
            data = _parse(_arrays(content))
        except (
            *(ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OSError),
            *(NotImplementedError, MemoryError, RuntimeError, RecursionError),
            *(zipfile.BadZipFile, zlib.error, BrainError),
        ) as error:
            raise ModelIntegrityError(
                f"{len(content)} bytes are no executor's data ({error}); {_CURE}"
            ) from error
        data._check()
        return data

    def _check(self) -> None:
        """Whether all arrays have the shapes that the others ask for."""
        width, rows = len(self.names), self.look_back
        window = (width,) if rows == 1 else (rows, width)
        golden, memory = self.golden_predictions.size, self.memory
        stretches = memory.session_closes_ns.size
        shapes = {"recent": (rows, width), "golden_rows": (golden, *window)}
        shapes |= {"golden_predictions": (golden,)}
        for name, shape in shapes.items():
            if (array := getattr(self, name)).shape != shape:
                raise ModelIntegrityError(
                    f"the executor's {name} has shape {array.shape}, expected {shape}; {_CURE}"
                )
        sessions = [getattr(memory, name) for name in _SESSIONS]
        ascend = all(a.shape == (stretches,) and np.all(a[1:] > a[:-1]) for a in sessions[1:])
        if not ascend or sessions[0].shape != (stretches,):
            raise ModelIntegrityError(f"the executor's sessions are none; {_CURE}")
        if not stretches and self.calendar not in (BARS, CONTINUOUS):
            raise ModelIntegrityError(
                f"the executor's calendar {self.calendar!r} has no sessions; {_CURE}"
            )


_PLAIN = (
    "symbol", "timeframe", "calendar", "timeframe_ns", "horizon", "family", "names", "feature_set",
    "look_back",
)  # fmt: skip
_WHOLE = ("timeframe_ns", "horizon", "look_back")
_ARRAYS = ("recent", "golden_rows", "golden_predictions")
_SESSIONS = ("session_anchors_ns", "session_opens_ns", "session_closes_ns")
_KERNELS = tuple(one.name for one in fields(Memory) if one.name not in _SESSIONS)


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _MOST:  # a few bytes can be packed from as many zeros as there is no room for
        raise InputError(f"{size} bytes when they are unpacked, more than {_MOST}")
    with np.load(BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"{name} is of {array.dtype}")
    return arrays


def _head(arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The values that are no arrays, each of its kind."""
    head: dict[str, Any] = json.loads(str(arrays[_HEAD]))
    if head.pop("format") != _FORMAT:
        raise InputError(f"another format than {_FORMAT}, which this release reads")
    for name in _PLAIN:
        value = head[name]
        values = value if name == "names" and value else [value]
        kind = int if name in _WHOLE else str
        if any(type(each) is not kind for each in values) or (kind is int and value < 1):
            raise InputError(f"{name} is {value!r:.40}")
    return head | {"names": tuple(head["names"])}


def _numbers(array: NDArray[Any], kinds: str) -> NDArray[Any]:
    """The array as wide as it gets, if it is of numbers of these kinds."""
    if array.dtype.kind not in kinds:
        raise TypeError(f"an array is of {array.dtype}")
    return array.astype(np.int64 if kinds == "iu" else np.float64)


def _parse(arrays: dict[str, NDArray[Any]]) -> ExecutorData:
    head = _head(arrays)
    kernels: dict[str, Any] = {
        kernel: {
            name.removeprefix(f"{kernel}/"): array
            for name, array in arrays.items()
            if name.startswith(f"{kernel}/")
        }
        for kernel in _KERNELS
    }
    sessions: dict[str, Any] = {name: _numbers(arrays[name], "iu") for name in _SESSIONS}
    rows: dict[str, Any] = {name: _numbers(arrays[name], "iuf") for name in _ARRAYS}
    data = ExecutorData(
        rule=PositionRule.from_json(head.pop("rule")),
        memory=Memory(**kernels, **sessions),
        **rows,
        **head,
    )
    # All that is read late is read once: what can't be parsed is told here.
    _ = data.trained_until_ns, data.definition, data.regimes
    return data
