"""Frozen values of the Brain Library: evidence, versions, champions and answers.

Needs the standard library alone: an executor without MLflow reads the same records.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from brain.brief import Brief
from brain.confidence import Confidence, Posterior, Prior
from brain.errors import LibraryError
from brain.field_kinds import check_kinds
from brain.model_keys import ModelKey
from brain.naming import Family, Regime, champion_alias, model_id, parse_family
from brain.sizing import AGE, Factor, aged
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
    "age_days",
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


@dataclass(frozen=True, repr=False)
class Evidence(Brief):
    """A model's estimates out of sample, in one regime or over all bars.

    The contract between evaluation, the metrics of a run in MLflow, and promotion:
    :meth:`brain.records.Evidence.to_metrics` writes these metrics,
    :meth:`brain.records.Evidence.from_metrics` reads them.

    Attributes:
        bars: rows with a prediction and an outcome; None is unknown.
        episodes: unbroken stretches of the regime among these rows; None is unknown.
        positions: decisions among these rows that took a position; None is unknown.
        years: time span of all decisions; NaN is unknown.
        net_sharpe: annualised Sharpe ratio of the net returns, risk-free rate 0 (Sharpe 1994).
        rank_ic: Spearman correlation of prediction and target.
        hit_rate: share of right directions among the rows with a move, in [0, 1].
        max_drawdown: the largest fall of the summed net returns from their running maximum, as a
            share of the capital, over the regime's bars in their order.
        gross_sharpe: before costs and funding.
        delayed_sharpe: before costs and funding, every decision filled one more bar late.
        gain_bp: mean gross return of a position, in basis points.
        break_even_bp: the cost of each unit traded that would leave nothing, in basis points.
        sign_gross_sharpe, sign_net_sharpe: of the sign of every prediction, always in the market,
            instead of the position rule.
        long_sharpe, reversal_sharpe: net, of what the model is compared with on the same bars and
            at the same costs: always long, and the last bar's return reversed.
    """

    bars: int | None
    episodes: int | None
    positions: int | None
    years: float
    net_sharpe: Estimate
    rank_ic: Estimate
    hit_rate: Estimate
    max_drawdown: Estimate
    gross_sharpe: Estimate
    delayed_sharpe: Estimate
    gain_bp: Estimate
    break_even_bp: Estimate
    sign_gross_sharpe: Estimate
    sign_net_sharpe: Estimate
    long_sharpe: Estimate
    reversal_sharpe: Estimate

    def caveats(self) -> tuple[str, ...]:
        """What takes the profit away, in a few words each."""
        gross = self.gross_sharpe.value
        caveats = []
        if self.positions == 0 and self.bars:
            caveats.append("nothing was expected to be worth its cost")
        if gross > 0.0 >= self.net_sharpe.value:
            caveats.append("costs take all of it")
        if gross > 0.0 >= self.delayed_sharpe.value:
            caveats.append("one more bar of delay takes all of it")
        return tuple(caveats)

    @property
    def beats_flat(self) -> bool:
        """Whether the net Sharpe ratio is credibly above 0; an unknown one is not."""
        return self.net_sharpe.interval()[0] > 0.0

    def share_of(self, over_all: Evidence) -> float | None:
        """The share of the bars that are of the regime; None is unknown.

        Args:
            over_all: the evidence over all bars.
        """
        if not self.bars or not over_all.bars:
            return None
        return min(1.0, self.bars / over_all.bars)

    def estimates(self) -> dict[str, Estimate]:
        """The estimates by name; tables and plots begin with the first."""
        return {name: getattr(self, name) for name in _ESTIMATES}

    def without_errors(self) -> Evidence:
        """The same with unknown errors: of too few rows to estimate any."""
        return replace(
            self,
            **{k: Estimate(e.value, math.nan) for k, e in self.estimates().items()},  # type: ignore[arg-type]
        )

    def to_metrics(self, regime: Regime | None = None) -> dict[str, float]:
        """The metrics of a run by their keys: ``high/net_sharpe``, ``high/net_sharpe_error``, ….

        Unknown values are left out.

        Args:
            regime: prefix of each key; keys over all bars have none.
        """
        metrics: dict[str, float] = {}
        for name, estimate in self.estimates().items():
            metrics |= {name: estimate.value, f"{name}_error": estimate.error}
        for name in _COUNTS:
            number = getattr(self, name)
            metrics[name] = math.nan if number is None else float(number)
        metrics[_YEARS] = self.years
        return {_key(name, regime): v for name, v in metrics.items() if math.isfinite(v)}

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, float], regime: Regime | None = None) -> Evidence:
        """The inverse of :meth:`brain.records.Evidence.to_metrics`.

        Args:
            metrics: of a run; other keys are ignored, missing ones are unknown.
            regime: prefix of the keys; None for those over all bars.
        """

        def value(name: str) -> float:
            return metrics.get(_key(name, regime), math.nan)

        def number(name: str) -> int | None:
            return None if math.isnan(value(name)) else int(value(name))

        estimates = {name: Estimate(value(name), value(f"{name}_error")) for name in _ESTIMATES}
        counts = {name: number(name) for name in _COUNTS}
        return cls(**counts, years=value(_YEARS), **estimates)  # type: ignore[arg-type]


_ESTIMATES = (
    "net_sharpe",
    "rank_ic",
    "hit_rate",
    "max_drawdown",
    "gross_sharpe",
    "delayed_sharpe",
    "gain_bp",
    "break_even_bp",
    "sign_gross_sharpe",
    "sign_net_sharpe",
    "long_sharpe",
    "reversal_sharpe",
)
_COUNTS = ("bars", "episodes", "positions")
_YEARS = "years"


def _key(name: str, regime: Regime | None) -> str:
    return name if regime is None else f"{regime}/{name}"


# --- versions and champions ---------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """A registered version of a model.

    Attributes:
        model: name of the registered model, ``BTC-USDT.1h.6``.
        key: what the version is of.
        number: of the version.
        family, recipe, digest, trained_until: as in its tags.
        run_id: of the run that trained it.
        logged_model_id: of its files.
        line: id of its line, see :mod:`brain.lines`; empty if it was registered without one.
        made: moment of the job that made it, ISO 8601 in UTC.
        refit: outcome of its refit check, beginning with "passes" or "fails"; empty until there
            are bars enough.
    """

    model: str
    key: ModelKey
    number: int
    family: Family
    recipe: str
    digest: str
    trained_until: str
    run_id: str
    logged_model_id: str
    line: str = ""
    made: str = ""
    refit: str = ""

    @property
    def foreign(self) -> bool:
        """Whether its refit check failed, so that it does not inherit its line's record."""
        return self.refit.startswith("fails")

    @property
    def symbol(self) -> str:
        """The key's symbol."""
        return self.key.symbol

    @property
    def id(self) -> str:
        """The model id, ``BTC-USDT.1h.6/7``."""
        return model_id(self.model, self.number)


@dataclass(frozen=True, repr=False)
class CellRecord(Brief):
    """The record of a cell's champion, a tag of the registered model.

    Attributes:
        version: of the registered model.
        digest: of the version's files, see :mod:`brain.manifest`.
        family, recipe, trained_until: as in the version's tags.
        provisional: whether a policy without a controlled error rate made it champion.
        reason: of the choice, in a sentence.
        by_evidence: whether its family was measured to be better than the prior.
        net_sharpe, net_sharpe_error: annualised, out of sample; None is unknown.
        bars, episodes: of the measurement; None is unknown.
        decided: time of the promotion, ISO 8601 in UTC; empty if unknown.
        night: date of the night whose figures these are, ISO 8601; empty if unknown.
        confidence: probability that the net Sharpe ratio is above 0; None without evidence.
        posterior: all that follows from the evidence; None without any, and in records from before
            there were posteriors.
        ledger: entry of the promotion ledger; None if there is none.
        fill: where its decisions are taken to be filled, in words; empty if unknown.
        cost_bp: of each unit traded, basis points; None is unknown.
        metrics: its evidence in the regime, see :meth:`brain.records.Evidence.to_metrics`.
        regimes: definition and state of the regimes, to classify new bars the same way; empty if
            unknown (each version's files have them too).
        line: id of the version's line; empty if unknown.
        size: of the positions that are to be taken, 0 to 1 of the largest, as it was judged: see
            :meth:`brain.records.CellRecord.size_at`. None if it was not judged.
        size_reason: why it is less than the evidence justifies; empty if it isn't.
        factors: that the size was multiplied with.
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
    fill: str = ""
    cost_bp: float | None = None
    night: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    regimes: Mapping[str, Any] = field(default_factory=dict)
    line: str = ""
    size: float | None = None
    size_reason: str = ""
    posterior: Posterior | None = None
    factors: tuple[Factor, ...] = ()

    @property
    def age_factor(self) -> float:
        """The age's factor in the size."""
        return next((factor.value for factor in self.factors if factor.name == AGE), 1.0)

    def age_days(self, moment: datetime) -> float:
        """Days from the end of the training to a moment.

        Raises:
            LibraryError: the record's end of the training is no time.
        """
        return age_days(self.trained_until, moment)

    def size_at(self, moment: datetime) -> float | None:
        """The size at a moment: a model that is not refitted any more counts for less and less.

        None if it was not judged.
        """
        if self.size is None:
            return None
        return aged(self.size, self.age_factor, self.age_days(moment)) if self.size else 0.0

    @property
    def evidence(self) -> Evidence:
        """The evidence in the regime; unknown where the record has none."""
        return Evidence.from_metrics(self.metrics)

    def to_json(self) -> str:
        """Compact JSON; numbers that are not finite become null."""
        fields = {k: finite(v) for k, v in asdict(self).items()}
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> CellRecord:
        """The inverse of :meth:`brain.records.CellRecord.to_json`.

        Raises:
            LibraryError: the text is not a cell's record.
        """
        try:
            fields = json.loads(text)
            # A record from before there were nights was written in its night.
            night = {"night": fields["decided"][:10]}
            record = cls(
                **(night | fields | {"family": parse_family(fields["family"])} | _sized(fields))
            )
            _check(record)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise LibraryError(
                f"a cell's tag can't be read ({error}): {text[:80]!r}; run the night again"
            ) from error
        return record


def _check(record: CellRecord) -> None:
    """Check that an executor can reckon with a record.

    Raises:
        TypeError: a field is of another kind.
        ValueError: a share or a probability is none.
    """
    nested = (record.posterior, record.posterior and record.posterior.prior, *record.factors)
    for value in (record, *filter(None, nested)):
        check_kinds(value)
    shares = {"confidence": record.confidence, "size": record.size}
    shares |= {f"factor {factor.name}": factor.value for factor in record.factors}
    for name, share in shares.items():
        if share is not None and not 0.0 <= share <= 1.0:
            raise ValueError(f"{name} is {share}, expected 0 to 1")


def age_days(trained_until: str, moment: datetime) -> float:
    """Days from the end of a training to a moment.

    Args:
        trained_until: close of the last bar, ISO 8601 with its zone.
        moment: with its zone.

    Raises:
        LibraryError: the end of the training is no such time.
    """
    try:
        since = moment - datetime.fromisoformat(trained_until)
    except (ValueError, TypeError) as error:
        raise LibraryError(
            f"the end of a training, {trained_until!r}, is no time with its zone ({error}); train "
            "the version anew"
        ) from error
    return since.total_seconds() / 86_400


def _sized(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record that are values of their own.

    A size of before there were posteriors said whether positions are to be taken, and not how
    large: where it was 1 none was judged.
    """
    if "posterior" not in fields:
        return {"size": None} if fields.get("size") else {}
    posterior = fields["posterior"]
    return {
        "posterior": None if posterior is None else _posterior(posterior),
        "factors": tuple(Factor(**factor) for factor in fields["factors"]),
    }


def _posterior(fields: Mapping[str, Any]) -> Posterior:
    return Posterior(**{**fields, "prior": Prior(**fields["prior"])})


@dataclass(frozen=True, repr=False)
class Champion(Brief):
    """The champion of a cell, with its record.

    Attributes:
        model: name of the registered model, ``BTC-USDT.1h.6``.
        key, regime: of the cell.
        version: of the registered model.
        record: of this version.
        pinned: whether the alias was moved by hand to this version; the nights leave it there. The
            record is then put together from the version's tags and its run's metrics, and its
            ``regimes`` are those of the version that a night named last.
    """

    model: str
    key: ModelKey
    regime: Regime
    version: int
    record: CellRecord
    pinned: bool = False

    @property
    def symbol(self) -> str:
        """The key's symbol."""
        return self.key.symbol

    @property
    def model_id(self) -> str:
        """The model id, ``BTC-USDT.1h.6/7``."""
        return model_id(self.model, self.version)

    @property
    def uri(self) -> str:
        """The URI for ``mlflow.pyfunc.load_model``; follows the alias."""
        return f"models:/{self.model}@{champion_alias(self.regime)}"


# --- answers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selection:
    """A version to use for a symbol in a regime.

    Attributes:
        key, regime: of the cell: symbol, timeframe of its bars and horizon.
        model_id: ``BTC-USDT.1h.6/7``.
        uri: for ``mlflow.pyfunc.load_model``; by alias if the version has one in the cell, and then
            it follows the alias; else by number.
        version: of the registered model.
        family, recipe, trained_until: as in the version's tags.
        digest: of the version's files; to be checked before they are read.
        confidence: that its net Sharpe ratio in the regime is above 0.
        is_champion: whether it is the cell's champion.
        reason: of the selection, in a sentence.
    """

    key: ModelKey
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

    @property
    def symbol(self) -> str:
        """The key's symbol."""
        return self.key.symbol


@dataclass(frozen=True)
class FamilyAdvice:
    """A family for a regime, for all models.

    Attributes:
        family: the advice.
        reason: of the advice, in a sentence.
        cells: champions of the regime, one a model.
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
        reason: of the advice, in a sentence.
    """

    switch: bool
    to: str
    reason: str
