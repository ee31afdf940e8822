"""What a night says of its champions' chances, and the size that follows.

By the closed nights of the champion's line in its cell; where it has none yet, by the walk-forward
of its version. Then come abstention and guardrails, which leave nothing of it, and what lowers it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from brain.brief import Brief
from brain.confidence import Posterior, normal_posterior
from brain.naming import Regime
from brain.records import CellRecord
from brain.sizing import (
    DRIFT,
    Factor,
    age_factor,
    drift_factor,
    lowered,
    lowered_by,
    missing_factor,
)
from engine.evaluation.nights import days_of
from engine.kernels.features import LOOK_BACK
from registry.promotion.cell_posteriors import CellPosteriors

if TYPE_CHECKING:
    from engine.data.dataset import Dataset
    from engine.night.sizes import Size

__all__ = ["Reading", "calibrated", "missing_features"]


@dataclass(frozen=True, repr=False)
class Reading(Brief):
    """What a symbol's sizes depend on beside its champions.

    Attributes:
        symbol: the symbol.
        close: of its last bar.
        posteriors: of the contest.
        drift: share of the features that drifted; None where it was not measured tonight.
        missing: share of the newest night's features that are missing beyond what always was; None
            is unknown.
    """

    symbol: str
    close: datetime
    posteriors: CellPosteriors
    drift: float | None
    missing: float | None

    @classmethod
    def of(cls, dataset: Dataset, posteriors: CellPosteriors, drift: float | None) -> Reading:
        """Of tonight's rows of a symbol."""
        close = dataset.close_time[-1].to_pydatetime(warn=False)
        return cls(dataset.symbol, close, posteriors, drift, missing_features(dataset))

    def factors(self, record: CellRecord) -> tuple[Factor, ...]:
        """What lowers the size of a champion."""
        predictions = self.posteriors.missing.get((self.symbol, record.line))
        return (
            self._drift(record),
            missing_factor(predictions, self.missing),
            age_factor(record.age_days(self.close)),
        )

    def _drift(self, record: CellRecord) -> Factor:
        """Tonight's; where none was measured, what was measured last of the champion's version."""
        if self.drift is not None:
            return drift_factor(self.drift)
        return next((f for f in record.factors if f.name == DRIFT), drift_factor(None))

    def posterior(self, record: CellRecord, regime: Regime) -> Posterior | None:
        """Of a champion: by its line's closed nights, else by its version's walk-forward."""
        by_nights = self.posteriors.cells.get((self.symbol, str(regime), record.line))
        if by_nights is not None or record.posterior is None:
            return by_nights
        bars = record.posterior
        if bars.nights is not None:  # of nights that are not there any more
            return bars
        return normal_posterior(bars.measured, bars.error, self.posteriors.prior, bars.share)


def calibrated(record: CellRecord, regime: Regime, size: Size, reading: Reading) -> CellRecord:
    """The record with its posterior, its size, and what lowered it.

    Args:
        record: of a champion.
        regime: of its cell.
        size: whether it has one: 0 stops it.
        reading: of the symbol.
    """
    posterior, factors = reading.posterior(record, regime), reading.factors(record)
    value, reason = 0.0, size.reason
    if size.value != 0.0:
        if posterior is None:
            reason = "no evidence to judge it by"
        elif posterior.size == 0.0:
            reason = f"as likely to lose as to gain: a year's gain has {posterior.next_year:.2f}"
        else:
            value, reason = lowered(posterior.size, factors), lowered_by(factors)
    return replace(
        record,
        posterior=posterior,
        confidence=posterior.positive if posterior else None,
        size=value,
        size_reason=reason,
        factors=factors,
    )


def missing_features(dataset: Dataset) -> float | None:
    """The share of the newest night's values of features that are missing beyond what always was.

    Features that never had a value were not trained on; they don't count. None where there are no
    rows before that night.
    """
    days = days_of(dataset.close_time.as_unit("ns").asi8)
    known = np.isfinite(dataset.features)
    night, before = days == days[-1], days < days[-1]
    before[: LOOK_BACK - 1] = False
    usual = known[before].mean(axis=0) if before.any() else np.zeros(known.shape[1])
    if not usual.any():
        return None
    now = known[night].mean(axis=0)
    return float(np.maximum(usual - now, 0.0).sum() / usual.sum())
