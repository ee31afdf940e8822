"""Guardrails: sudden failures set a champion's size to 0 at once, and call for a look.

They move no alias: what fails suddenly is more often data, fees or a venue than a model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brain.text import finite
from registry.promotion.boundary import Rule, quantiles
from registry.promotion.groups import Booleans, Groups
from registry.promotion.sums import Sums

__all__ = ["Guardrail", "Limits", "better_than_flat", "guardrails", "size"]


@dataclass(frozen=True)
class Limits:
    """From where on a guardrail holds.

    Attributes:
        missing: share of bars without a prediction.
        turnover: of a night, as a multiple of the largest one before it was promoted.
    """

    missing: float = 0.1
    turnover: float = 2.0


@dataclass(frozen=True)
class Guardrail:
    """One guardrail's figures.

    Attributes:
        name: of what is measured.
        value, limit: None is unknown.
        holds: whether it sets the size to 0.
        reason: in a few words.
    """

    name: str
    value: float | None
    limit: float | None
    holds: bool
    reason: str


def guardrails(
    *,
    drawdown: float,
    allowance: float,
    missing: float,
    turnover: float,
    usual_turnover: float,
    intact: bool,
    limits: Limits | None = None,
) -> tuple[Guardrail, ...]:
    """All guardrails of a champion; an unknown value or limit holds nobody back, and is told.

    Args:
        drawdown: largest fall of the summed evidence since the promotion.
        allowance: the largest one that the champion's own bootstrap allows.
        missing: share of the night's bars without a prediction, in [0, 1].
        turnover, usual_turnover: of the night, and the largest one before the promotion.
        intact: whether the model's files have their digest. There is no unknown here: files that
            were not checked are not intact.
        limits: from where on the others hold.
    """
    limits = limits or Limits()
    return (
        _above("drawdown", drawdown, allowance),
        _above("missing share", missing, limits.missing),
        _above("turnover", turnover, limits.turnover * usual_turnover),
        Guardrail(
            "integrity", None, None, not intact, "as registered" if intact else "files differ"
        ),
    )


def size(guards: Sequence[Guardrail], better: bool) -> tuple[float, str]:
    """1, or 0 with the reason.

    Args:
        guards: of the champion.
        better: whether it is credibly better than flat.
    """
    if stops := [guard for guard in guards if guard.holds]:
        return 0.0, "look: " + "; ".join(f"{guard.name} {guard.reason}" for guard in stops)
    if not better:
        return 0.0, "abstain: not credibly better than flat"
    return 1.0, ""


def better_than_flat(
    rule: Rule,
    groups: Groups,
    live: Sums,
    backtest: Sums | None = None,
    *,
    weight: float = 0.0,
    recipes: float = 1.0,
) -> Booleans:
    """Cells whose champion is credibly better than flat: (…, symbols, regimes).

    ``(w·ΣX_back + ΣX_live) / √(w²·max(ΣX²_back, n_back) + max(ΣX²_live, n_live))`` of the
    champion's own evidence exceeds a one-sided quantile in one of the cell's groups: all, its
    regime, its symbol, which share 5 % at any one night as the groups of a trial do. This is a
    size, judged anew each night, and no promotion.

    Args:
        rule, groups: of the trials.
        live, backtest: sums of the champion's evidence, (…, groups).
        weight: w of the backtest.
        recipes: K, where a backtest counts.
    """
    total, variance, nights = live.total, np.maximum(live.variance, live.active), live.active
    if backtest is not None and weight > 0.0:
        total = total + weight * backtest.total
        variance = variance + weight**2 * np.maximum(backtest.variance, backtest.active)
        nights = nights + backtest.active
    present = [w if level else 0.0 for w, level in zip(rule.weights, groups.levels, strict=True)]
    levels = np.array([w / sum(present) for w in present])
    # One-sided: a is that of both sides together.
    z = quantiles(2.0 * rule.level * levels[levels > 0.0] / recipes)
    quantile = np.repeat(z, [len(level) for level in groups.levels if level])
    credible = (nights >= rule.confirmation_nights) & (total >= quantile * np.sqrt(variance))
    cells = groups.masks
    return np.asarray((credible[..., None, None] & cells).any(axis=-3))


def _above(name: str, value: float, limit: float) -> Guardrail:
    if not (math.isfinite(value) and math.isfinite(limit)):
        return Guardrail(name, finite(value), finite(limit), False, "unknown")
    holds = value > limit
    sign = "above" if holds else "within"
    return Guardrail(name, value, limit, holds, f"{value:.3g} is {sign} {limit:.3g}")
