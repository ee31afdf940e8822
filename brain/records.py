"""What the Brain Library holds and answers, as frozen values: versions, champions, evidence.

The standard library alone: an executor without MLflow reads the same records as the platform.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from brain.confidence import Confidence
from brain.errors import LibraryError
from brain.naming import Family, Regime, champion_alias, model_id, model_name, parse_family
from brain.text import finite

__all__ = [
    "CellRecord",
    "Champion",
    "Estimate",
    "Evidence",
    "FamilyAdvice",
    "Selection",
    "SwitchAdvice",
    "Version",
]


# --- evidence -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """A metric and its standard error; NaN is unknown."""

    value: float
    error: float

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """The normal interval around the value."""
        return self.value - z * self.error, self.value + z * self.error


@dataclass(frozen=True)
class Evidence:
    """What one model has shown out of sample, in one regime or over all bars.

    The one contract between whoever evaluates a model, the metrics of its run in MLflow, and
    whoever decides by them: :meth:`to_metrics` writes them, :meth:`from_metrics` reads them.

    Attributes:
        bars: rows with a prediction and a known outcome; None is unknown.
        episodes: unbroken stretches of the regime that these rows come from; None is unknown.
        net_sharpe: annualised Sharpe ratio of the net returns, risk-free rate 0 (Sharpe 1994).
        rank_ic: Spearman correlation of prediction and target.
        hit_rate: share of the rows with a move whose direction was right, in [0, 1].
        max_drawdown: the largest fall of the summed net returns from their running maximum, as a
            share of the capital, over the regime's bars in their order.
    """

    bars: int | None
    episodes: int | None
    net_sharpe: Estimate
    rank_ic: Estimate
    hit_rate: Estimate
    max_drawdown: Estimate

    def estimates(self) -> dict[str, Estimate]:
        """The estimates by name; the first is the one that tables and plots open with."""
        return {name: getattr(self, name) for name in _ESTIMATES}

    def to_metrics(self, regime: Regime | None = None) -> dict[str, float]:
        """The metrics of a run by their keys: ``high/net_sharpe``, ``high/net_sharpe_error``, ….

        What is unknown is left out rather than logged as something else.

        Args:
            regime: stands before each key; the keys over all bars have nothing there.
        """
        metrics: dict[str, float] = {}
        for name, estimate in self.estimates().items():
            metrics |= {name: estimate.value, f"{name}_error": estimate.error}
        for name in _COUNTS:
            number = getattr(self, name)
            metrics[name] = math.nan if number is None else float(number)
        return {_key(name, regime): v for name, v in metrics.items() if math.isfinite(v)}

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, float], regime: Regime | None = None) -> Evidence:
        """What :meth:`to_metrics` wrote, among any other metrics; what is not there is unknown."""

        def value(name: str) -> float:
            return metrics.get(_key(name, regime), math.nan)

        def number(name: str) -> int | None:
            return None if math.isnan(value(name)) else int(value(name))

        estimates = {name: Estimate(value(name), value(f"{name}_error")) for name in _ESTIMATES}
        return cls(**{name: number(name) for name in _COUNTS}, **estimates)  # type: ignore[arg-type]


_ESTIMATES = ("net_sharpe", "rank_ic", "hit_rate", "max_drawdown")
_COUNTS = ("bars", "episodes")


def _key(name: str, regime: Regime | None) -> str:
    return name if regime is None else f"{regime}/{name}"


# --- versions and champions ---------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """A registered version of a symbol's model."""

    symbol: str
    number: int
    family: Family
    recipe: str
    digest: str
    trained_until: str
    run_id: str
    logged_model_id: str

    @property
    def id(self) -> str:
        """The model id, ``BTC-USDT/7``."""
        return model_id(model_name(self.symbol), self.number)


@dataclass(frozen=True)
class CellRecord:
    """What the registered model's tag says of a cell's champion.

    Attributes:
        version: of the registered model.
        digest: of the version's files, see :mod:`brain.manifest`.
        family, recipe, trained_until: as in the version's tags.
        provisional: whether the champion stands by the rule in :mod:`registry.promotion.rule`.
        reason: why this one, in a sentence.
        by_evidence: whether it beat the prior's family, rather than standing in its place.
        net_sharpe, net_sharpe_error: annualised, out of sample; None is unknown.
        bars, episodes: what they were measured on; None is unknown.
        decided: when, ISO 8601 in UTC; empty if that is unknown.
        confidence: probability that the position pays, None while there is no evidence for one.
        ledger: entry of the promotion ledger, None while there is none.
        regimes: the regimes' definition and state, so that the present is classified the same way;
            empty if they are unknown (each version's files hold its own).
    """

    version: int
    digest: str
    family: Family
    recipe: str
    trained_until: str
    provisional: bool
    reason: str
    bars: int | None
    episodes: int | None
    decided: str
    net_sharpe: float | None = None
    net_sharpe_error: float | None = None
    confidence: float | None = None
    ledger: str | None = None
    by_evidence: bool = False
    regimes: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Compact JSON; what is not finite is null."""
        fields = {k: finite(v) for k, v in asdict(self).items()}
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> CellRecord:
        """Read what :meth:`to_json` wrote.

        Raises:
            LibraryError: the text is not a cell's record.
        """
        try:
            fields = json.loads(text)
            return cls(**(fields | {"family": parse_family(fields["family"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise LibraryError(
                f"a cell's tag can't be read ({error}): {text[:80]!r}; run the night again"
            ) from error


@dataclass(frozen=True)
class Champion:
    """The version that a cell trusts, and why.

    Attributes:
        record: of this very version.
        recorded: whether it is the cell's own record. If not, somebody moved the alias by hand, or
            a promotion is under way: the record was then put together from the version's tags and
            its run's metrics, and its ``regimes`` are those of the record that the cell had.
    """

    symbol: str
    regime: Regime
    version: int
    record: CellRecord
    recorded: bool = True

    @property
    def model_id(self) -> str:
        """The model id, ``BTC-USDT/7``."""
        return model_id(model_name(self.symbol), self.version)

    @property
    def uri(self) -> str:
        """What ``mlflow.pyfunc.load_model`` takes; follows the alias."""
        return f"models:/{model_name(self.symbol)}@{champion_alias(self.regime)}"


# --- answers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selection:
    """A version to use for a symbol in a regime.

    Attributes:
        symbol, regime: of the cell.
        model_id: ``BTC-USDT/7``.
        uri: what ``mlflow.pyfunc.load_model`` takes; by alias where the version has one in the
            cell, which follows the alias, else by number.
        version: of the registered model.
        family, recipe, trained_until: as in the version's tags.
        digest: of the version's files; check it before anything reads them.
        confidence: that its net Sharpe in the regime is above 0.
        is_champion: whether the cell trusts it.
        reason: why this one, in a sentence.
    """

    symbol: str
    regime: Regime
    model_id: str
    uri: str
    version: int
    family: Family
    recipe: str
    trained_until: str
    digest: str
    confidence: Confidence
    is_champion: bool
    reason: str


@dataclass(frozen=True)
class FamilyAdvice:
    """A family for a regime, whatever the symbol.

    Attributes:
        family: the advice.
        reason: what it rests on.
        cells: champions of the regime that were looked at, one a symbol.
    """

    family: Family
    reason: str
    cells: int


@dataclass(frozen=True)
class SwitchAdvice:
    """Whether to use another version.

    Attributes:
        switch: whether ``to`` is another version than the current one.
        to: model id of the regime's champion.
        reason: why, in a sentence.
    """

    switch: bool
    to: str
    reason: str
