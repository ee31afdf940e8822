"""What would have been held: the champions as they were named, and what they are compared with.

From a night's moment to the next one's a symbol is traded by what the night left: in each regime by
a version and at a size. Its predictions go through its own rule into the symbol's slots, whose
decisions go on when versions, regimes or sizes change, as an executor's do; where the size is 0 the
slot is closed. All strategies pay the same costs on the same bars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.brief import Brief
from brain.errors import BrainError, TrackingUnreachableError
from brain.naming import REGIMES, model_id
from brain.scratch import scratch_folder
from brain.work import Failure
from engine.evaluation.nights import days_of
from engine.evaluation.trading import Trading, reversal, trading_of
from engine.kernels.columns import Floats
from engine.kernels.position import positions
from engine.night.loaded import LoadedVersion, load_version
from registry.promotion.course import prior_line

if TYPE_CHECKING:
    from brain.lines import Line
    from engine.data.dataset import Dataset
    from engine.night.symbols import SymbolData
    from registry.library import BrainLibrary

__all__ = ["BEST", "CHAMPIONS", "FLAT", "FULL", "LONG", "PRIOR_TABLE", "REVERSAL", "Held", "hold"]

#: The strategies beside each line held fixed.
CHAMPIONS = "champions at their sizes"
FULL = "champions at full size"
PRIOR_TABLE = "prior table"
BEST = "newest of the best Sharpe ratio"
FLAT = "flat"
LONG = "always long"
REVERSAL = "last return reversed"

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Choice:
    """Line and version that trade a regime, and the size; no version trades nothing."""

    line: str
    version: int
    size: float = 1.0


#: By regime; a regime without one is not decided.
_Choices = Mapping[str, _Choice]


@dataclass(frozen=True, repr=False)
class Held(Brief):
    """What strategies held and earned on a symbol, night by night, (D, S) each.

    Attributes:
        days: (D,) days since 1970-01-01 with bars.
        strategies: the S names.
        net: profit in shares of the symbol's capital, after costs and funding; NaN is unknown.
        turnover: traded, in units of the capital.
        invested: whether anything was decided to be held.
        failures: of versions.
    """

    days: Ints
    strategies: tuple[str, ...]
    net: Floats
    turnover: Floats
    invested: NDArray[np.bool_]
    failures: tuple[Failure, ...]


def hold(
    library: BrainLibrary,
    data: SymbolData,
    nights: Sequence[Mapping[str, Any]],
    definitions: Mapping[str, Line],
    lines: Sequence[str],
) -> Held:
    """Trade a symbol by every strategy, from the first night's moment to the last one's.

    Args:
        library: of the replay.
        data: of the symbol, up to the last night.
        nights: documents of all nights, see :class:`analysis.replay.nights.ReplayedNight`.
        definitions: of all lines, by id.
        lines: that are held fixed, ids.

    Raises:
        TrackingUnreachableError: the library does not answer.
    """
    return _Symbol(library, data, nights, definitions).hold(lines)


class _Symbol:
    def __init__(
        self,
        library: BrainLibrary,
        data: SymbolData,
        nights: Sequence[Mapping[str, Any]],
        definitions: Mapping[str, Line],
    ) -> None:
        self._library = library
        self._data = data
        self._definitions = definitions
        self._nights = [night["symbols"].get(data.dataset.symbol, {}) for night in nights]
        self._failures: list[Failure] = []
        moments = np.array([pd.Timestamp(night["moment"]).value for night in nights])
        closes = data.dataset.close_ns
        first, stop = np.searchsorted(closes, moments[[0, -1]], "right").tolist()
        #: The rows that are traded, and the night that each follows.
        self._rows = slice(first, stop)
        self._night: Ints = np.searchsorted(moments, closes[self._rows], "left") - 1
        self._models: dict[tuple[str, int], LoadedVersion | None] = {}
        self._gains: dict[tuple[str, int], Floats] = {}

    def hold(self, lines: Sequence[str]) -> Held:
        dataset = self._data.dataset
        count = self._rows.stop - self._rows.start
        part = dataset.tail(self._rows.start).head(count)
        trading = trading_of(part, self._cost())
        schedules: dict[str, Callable[[Mapping[str, Any]], _Choices]] = {
            CHAMPIONS: _champions,
            FULL: _full,
            **{line: partial(_fixed, line=line) for line in lines},
            PRIOR_TABLE: self._prior,
            BEST: _best,
        }
        decided = {name: self._position(schedule) for name, schedule in schedules.items()}
        # The return into the first row is known, though the row before it is not traded.
        turned = reversal(dataset.close, np.ones(len(dataset), dtype=np.bool_))[self._rows]
        decided |= {FLAT: np.zeros(count), LONG: np.ones(count), REVERSAL: turned}
        return self._summed(part, trading, decided)

    def _summed(self, part: Dataset, trading: Trading, decided: Mapping[str, Floats]) -> Held:
        """Profits by day; those of bars that are missing are in the next one's."""
        exists = trading.exists
        days, starts = np.unique(days_of(part.close_ns)[exists], return_index=True)
        columns = []
        for position in decided.values():
            result = trading.profit(position)
            held = np.nan_to_num(position) != 0.0
            columns.append(
                [np.add.reduceat(v[exists], starts) for v in (result.net, result.turnover)]
                + [np.logical_or.reduceat(held[exists], starts)]
            )
        net, turnover, invested = (np.stack(c, axis=1) for c in zip(*columns, strict=True))
        return Held(
            days, tuple(decided), net, turnover, invested.astype(np.bool_), tuple(self._failures)
        )

    # --- from a schedule to positions -----------------------------------------------------------

    def _position(self, schedule: Callable[[Mapping[str, Any]], _Choices]) -> Floats:
        """(rows,) decided at each close, -size to size; NaN is no decision."""
        dataset, rows = self._data.dataset, self._rows
        count = rows.stop - rows.start
        gain, threshold, size = np.full(count, np.nan), np.zeros(count), np.ones(count)
        codes = dataset.regimes[rows]
        for number, choices in enumerate(map(schedule, self._nights)):
            of_night = self._night == number
            for code, regime in enumerate(REGIMES):
                choice = choices.get(str(regime))
                mine = of_night & (codes == code)
                if choice is None or not mine.any():
                    continue
                if (model := self._model(choice)) is None:
                    continue
                gain[mine] = self._gain(choice, model)[mine]
                threshold[mine], size[mine] = model.rule.threshold, choice.size
        # A slot at size 0 holds nothing, so the decision after it has nothing to keep.
        gain = np.where((size == 0.0) & np.isfinite(gain), 0.0, gain)
        return positions(gain, threshold, dataset.horizon) * size

    def _gain(self, choice: _Choice, model: LoadedVersion) -> Floats:
        """(rows,) that a version expects, on all rows."""
        key = choice.line, choice.version
        if key not in self._gains:
            dataset, rows = self._of_line(choice.line), self._rows
            prediction = model.predict(dataset, rows)
            self._gains[key] = model.rule.gain(
                prediction, dataset.volatility[rows], dataset.regimes[rows]
            )
        return self._gains[key]

    def _of_line(self, line: str) -> Dataset:
        return self._data.lines.filled_tonight(self._definitions[line])

    def _model(self, choice: _Choice) -> LoadedVersion | None:
        """The version's model; None if it can't be loaded, which is a failure once."""
        key = choice.line, choice.version
        if key not in self._models:
            self._models[key] = None
            name = model_id(self._model_name, choice.version)
            try:
                version = self._library.version_of(name)
                line = self._definitions[choice.line]
                with scratch_folder() as scratch:
                    folder = self._library.fetch(version, scratch)
                    self._models[key] = load_version(version, folder, line, self._of_line(line.id))
            except TrackingUnreachableError:
                raise
            except BrainError as error:
                symbol = self._data.dataset.symbol
                self._failures.append(Failure(name, error, "replayed", symbol=symbol))
        return self._models[key]

    @property
    def _model_name(self) -> str:
        return next(night["model"] for night in self._nights if night)

    def _cost(self) -> Floats:
        """(rows,) of each unit traded, as a share: as the newest version of the night knew it."""
        cost = np.full(len(self._night), np.nan)
        for number, night in enumerate(self._nights):
            lines = night.get("lines", {})
            if not lines:
                continue
            line = max(lines, key=lambda name: lines[name])
            if (model := self._model(_Choice(line, lines[line]))) is not None:
                cost[self._night == number] = model.rule.cost / 10_000
        return pd.Series(cost).ffill().bfill().to_numpy()

    # --- schedules ------------------------------------------------------------------------------

    def _prior(self, night: Mapping[str, Any]) -> _Choices:
        lines = night.get("lines", {})
        if not lines:
            return {}
        named = {regime: prior_line(regime, list(lines), self._definitions) for regime in REGIMES}
        return {str(regime): _Choice(line, lines[line]) for regime, line in named.items()}


def _champions(night: Mapping[str, Any]) -> _Choices:
    """A size that was not judged is a full one, as an executor has it."""
    return {
        regime: _Choice(c["line"], c["version"], 1.0 if c["size"] is None else c["size"])
        for regime, c in night.get("champions", {}).items()
    }


def _full(night: Mapping[str, Any]) -> _Choices:
    return {regime: replace(choice, size=1.0) for regime, choice in _champions(night).items()}


def _fixed(night: Mapping[str, Any], line: str) -> _Choices:
    lines = night.get("lines", {})
    if line not in lines:
        return {}
    return {str(regime): _Choice(line, lines[line]) for regime in REGIMES}


def _best(night: Mapping[str, Any]) -> _Choices:
    best = night.get("best")
    if best is None:
        return {}
    return {str(regime): _Choice(best["line"], best["version"]) for regime in REGIMES}
