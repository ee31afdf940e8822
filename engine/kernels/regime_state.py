"""The definition of regimes and the state of their classification: two values that travel as JSON.

They are stored with the models, so that an executor without the history goes on classifying
exactly where training stopped. See :mod:`engine.kernels.regimes`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Self

from brain.brief import Brief
from brain.errors import InputError
from brain.naming import REGIMES, Regime

__all__ = ["METHOD", "SESSIONS", "UNKNOWN", "RegimeDefinition", "RegimeState"]

#: The code of a bar whose regime is unknown.
UNKNOWN = -1
#: In place of the bars' length where the market closes between them.
SESSIONS = 0
#: The only volatility estimator so far, :func:`engine.kernels.regimes.volatility`.
METHOD = "garman-klass-yang-zhang"

_EXTREME = REGIMES.index(Regime.EXTREME)
_FORMATS = {"RegimeDefinition": 1, "RegimeState": 2}
_MOST = 2**62  # fits the kernel's 64-bit integers, sums of counts too


@dataclass(frozen=True, repr=False)
class RegimeDefinition(Brief):
    """What "low", "normal", "high" and "extreme" mean; part of a model's contract.

    Attributes:
        window: bars of the volatility estimate.
        cuts: percentiles between low|normal, normal|high and high|extreme.
        margins: a cut is crossed upwards at ``cut + margin`` and downwards below ``cut - margin``.
        dwell: bars that a regime lasts at least; only the step into extreme may shorten it.
        min_bars: volatilities that must be counted before the first code.
        bins_per_octave: bins of the histogram for each doubling of volatility.
        method: the volatility estimator.

    Raises:
        InputError: a value is out of its range.
    """

    window: int = 24
    cuts: tuple[float, ...] = (0.25, 0.75, 0.95)
    margins: tuple[float, ...] = (0.05, 0.05, 0.02)
    dwell: int = 5
    min_bars: int = 252
    bins_per_octave: int = 32
    method: str = METHOD

    def __post_init__(self) -> None:
        for name, least in {"window": 2, "dwell": 1, "min_bars": 1, "bins_per_octave": 1}.items():
            _check_whole(name, getattr(self, name), least, 100_000)
        if self.method != METHOD:
            raise InputError(f"method {self.method!r} is not known; write {METHOD!r}")
        for name in ("cuts", "margins"):
            _check_shares(name, getattr(self, name))
        edges = [e for c, m in zip(self.cuts, self.margins, strict=True) for e in (c - m, c + m)]
        if edges != sorted(edges) or edges[0] <= 0.0 or edges[-1] >= 1.0:
            raise InputError(
                f"cuts {self.cuts} with margins {self.margins} overlap or leave (0, 1); "
                "write ascending cuts whose margins don't touch"
            )

    @property
    def id(self) -> str:
        """A short digest of the definition: two with the same id classify alike."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The definition as one line of JSON."""
        return _dump(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            InputError: the text is not a definition.
        """
        return cls(**_load(cls, text))


@dataclass(frozen=True, repr=False)
class RegimeState(Brief):
    """The memory of the classification after a bar. Begin with :meth:`start`.

    Attributes:
        definition_id: :attr:`RegimeDefinition.id` of the definition behind the classification.
        bins, counts: the histogram, sparse and ascending: bin ``b`` counts the volatilities from
            ``2**(b / bins_per_octave)`` up to, not including, ``2**((b + 1) / bins_per_octave)``.
        regime: code of the latest known regime, or -1.
        bars_in_regime: bars with that code since the regime was entered.
        code: the last bar's code: ``regime``, or -1 if that bar's volatility is unknown.
        close_time_ns: the last bar's close, nanoseconds since 1970 UTC; None before the first.
        step_ns: from one close to the next; None before the second bar, and :data:`SESSIONS` where
            the market closes between bars.

    Raises:
        InputError: the values contradict each other.
    """

    definition_id: str
    bins: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    regime: int = UNKNOWN
    bars_in_regime: int = 0
    code: int = UNKNOWN
    close_time_ns: int | None = None
    step_ns: int | None = None

    def __post_init__(self) -> None:
        _check_text("definition_id", self.definition_id)
        for name, least in (
            ("regime", UNKNOWN),
            ("code", UNKNOWN),
            ("bars_in_regime", 0),
        ):
            _check_whole(name, getattr(self, name), least)
        for name, least in (("close_time_ns", 1), ("step_ns", SESSIONS)):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), least)
        if self.regime > _EXTREME or self.code not in (UNKNOWN, self.regime):
            raise InputError(
                f"regime {self.regime} with code {self.code} can't be; a regime is a code from "
                f"{UNKNOWN} to {_EXTREME}, and the last bar's code is the regime or {UNKNOWN}"
            )
        if (self.regime == UNKNOWN) != (self.bars_in_regime == 0):
            raise InputError(
                f"regime {self.regime} with {self.bars_in_regime} bars in it can't be; "
                "a known regime has lasted a bar or more, an unknown one none"
            )
        _check_histogram(self.bins, self.counts)

    @classmethod
    def start(cls, definition: RegimeDefinition, *, sessions: bool = False) -> Self:
        """The state before the first bar of a market, with sessions or without."""
        return cls(definition_id=definition.id, step_ns=SESSIONS if sessions else None)

    @property
    def n(self) -> int:
        """Volatilities counted so far."""
        return sum(self.counts)

    @property
    def present(self) -> Regime | None:
        """The last bar's regime; None if it is unknown."""
        return None if self.code == UNKNOWN else REGIMES[self.code]

    def to_json(self) -> str:
        """The state as one line of JSON, a few kilobytes.

        It is kept in a tag of the registered model, which on PostgreSQL holds 5,000 characters.
        """
        return _dump(self, bins=_runs(self.bins))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            InputError: the text is not a state.
        """
        content = _load(cls, text)
        return cls(**content | {"bins": _bins(content["bins"], content["counts"])})


def _dump(value: RegimeDefinition | RegimeState, **replacements: object) -> str:
    name = type(value).__name__
    content = {"kind": name, "format": _FORMATS[name], **asdict(value), **replacements}
    return json.dumps(content, separators=(",", ":"))


def _runs(bins: tuple[int, ...]) -> list[tuple[int, int]]:
    """Neighbouring bins as the first of them and how many: most are, which halves the text."""
    starts = [i for i, index in enumerate(bins) if i == 0 or index != bins[i - 1] + 1]
    return [(bins[i], j - i) for i, j in pairwise([*starts, len(bins)])]


def _bins(runs: object, counts: object) -> tuple[int, ...]:
    """The inverse of :func:`_runs`; there are as many bins as counts."""
    most = len(counts) if isinstance(counts, tuple) else 0
    bins: list[int] = []
    for run in runs if isinstance(runs, tuple) else [runs]:
        if not isinstance(run, list) or len(run) != 2:
            raise InputError(f"bins hold {run!r}; give the text that RegimeState.to_json wrote")
        _check_whole("a bin", run[0], -_MOST)
        _check_whole("a number of bins", run[1], 1, most)
        bins += range(run[0], run[0] + run[1])
    return tuple(bins)


def _load(cls: type[RegimeDefinition] | type[RegimeState], text: str) -> dict[str, Any]:
    """The constructor's arguments; the constructor checks their values."""
    cure = f"give the text that {cls.__name__}.to_json wrote"
    try:
        content = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{text!r:.80} is not JSON ({error}); {cure}") from None
    if not isinstance(content, dict) or content.pop("kind", None) != cls.__name__:
        raise InputError(f"{text!r:.80} is not a {cls.__name__}; {cure}")
    readable = _FORMATS[cls.__name__]
    if (version := content.pop("format", None)) != readable:
        raise InputError(
            f"{cls.__name__} is in format {version!r}, this release reads {readable}; "
            "use the release that wrote it"
        )
    names = {field.name for field in fields(cls)}
    if mismatch := sorted(names.symmetric_difference(content)):
        raise InputError(f"{cls.__name__} has wrong or missing entries {mismatch}; {cure}")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}


def _check_whole(name: str, value: object, least: int, most: int = _MOST) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= most:  # type: ignore[operator]
        raise InputError(f"{name} is {value!r}; write a whole number from {least} to {most}")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} is {value!r}; write what RegimeDefinition.id gives")


def _check_shares(name: str, value: object) -> None:
    count = len(REGIMES) - 1
    if not isinstance(value, tuple) or len(value) != count:
        raise InputError(f"{name} is {value!r}; write a tuple of {count} numbers")
    for share in value:
        if not isinstance(share, float) or not 0.0 <= share <= 1.0:
            raise InputError(f"{name} holds {share!r}; write numbers between 0.0 and 1.0")


def _check_histogram(bins: object, counts: object) -> None:
    if not isinstance(bins, tuple) or not isinstance(counts, tuple) or len(bins) != len(counts):
        raise InputError("bins and counts don't match; give as many counts as bins, both as tuples")
    for index in bins:
        _check_whole("a bin", index, -_MOST)
    for count in counts:
        _check_whole("a bin's count", count, 1)
    _check_whole("the sum of counts", sum(counts), 0)
    if any(later <= earlier for earlier, later in pairwise(bins)):
        raise InputError("bins are not in ascending order; give each bin once, lowest first")
