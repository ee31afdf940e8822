"""The boundary that a challenger line's evidence must cross, valid at every look of its trial.

By the reflection principle (Bachelier 1900; Billingsley, *Convergence of Probability Measures*, 9)
a sum without drift reaches ``b`` anywhere before its variance is ``V`` with probability
``2·(1 − Φ(b / √V))``. So with ``b = Φ⁻¹(1 − a/2)·√V`` the rule may look every night for ``a``.
``V`` is the variance that the sum will have at the trial's end: what was measured, and one for each
night to come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from brain.brief import Brief
from registry.promotion.groups import Booleans, Floats
from registry.promotion.sums import Sums

__all__ = ["Look", "Rule", "backtest_weight", "confirmations", "look_at", "quantiles"]

_NORMAL = NormalDist()


@dataclass(frozen=True, repr=False)
class Rule(Brief):
    """The constants of the trial.

    Attributes:
        level: the chance of a wrong promotion among all trials started in ``nights`` nights.
        nights: that a trial lasts.
        batch: of what is left of the level, the share that goes to the trials of one start.
        least: level below which no trial starts: it waits until older ones are that long ago.
        weights: how the level is divided between all cells, the regimes and the symbols.
        limit: of a night's value, in root mean squares.
        discount: of a backtest's nights.
        confirmation_nights, confirmation: live nights, and their sum over the root of their sum
            of squares in all cells, without which no backtest promotes.
        presence_nights: nights on which every group is taken to be present, beside those measured.
    """

    level: float = 0.05
    nights: int = 180
    batch: float = 0.8
    least: float = 0.0005
    weights: tuple[float, float, float] = (0.5, 0.3, 0.2)
    limit: float = 3.0
    discount: float = 0.5
    confirmation_nights: int = 30
    confirmation: float = 1.0
    presence_nights: int = 10


@dataclass(frozen=True, repr=False)
class Look(Brief):
    """What the rule sees at one night, each (…, groups).

    Attributes:
        score: weighted ΣX of the backtest, and ΣX of the live nights.
        boundary: that the score has to reach.
        variance: V, that the score will have at the trial's end.
        presence: share of nights on which a group is present.
        live: ΣX over √ΣX² of the live nights; NaN before there is one.
        crossed: groups that the challenger takes.
    """

    score: Floats
    boundary: Floats
    variance: Floats
    presence: Floats
    live: Floats
    crossed: Booleans


def quantiles(levels: Floats) -> Floats:
    """Φ⁻¹(1 − a/2) of each level."""
    return np.array([-_NORMAL.inv_cdf(a / 2.0) for a in levels])


def backtest_weight(rule: Rule, nights: float, level: float, recipes: float) -> float:
    """The weight of a backtest's nights: the discount, or 0 if live nights alone see more.

    The level of a trial that counts a backtest is divided by the recipes tried on it. Nothing of
    the evidence's values has a part in this.

    Args:
        rule: of the trial.
        nights: of the backtest.
        level: of the group of all cells.
        recipes: K, that were ever tried on these nights.
    """
    if not nights:
        return 0.0
    alone = math.sqrt(rule.nights) / -_NORMAL.inv_cdf(level / 2.0)
    w = rule.discount
    drift = (w * nights + rule.nights) / math.sqrt(w * w * nights + rule.nights)
    return w if drift / -_NORMAL.inv_cdf(level / recipes / 2.0) > alone else 0.0


def confirmations(rule: Rule, shares: Floats) -> Floats:
    """What each group's live nights have to show: (groups,).

    As much rarer by chance than the confirmation of all cells as the group's share of the level is
    smaller; else one of many regimes and symbols would always confirm a lucky backtest.
    """
    chance = _NORMAL.cdf(-rule.confirmation)
    return np.array([-_NORMAL.inv_cdf(chance * share / shares.max()) for share in shares])


def look_at(
    rule: Rule,
    z: Floats,
    live: Sums,
    backtest: Sums | None = None,
    weight: float = 0.0,
    confirmation: Floats | float = 1.0,
) -> Look:
    """Judge all groups at one night.

    ``w·ΣX_back + ΣX_live ≥ z·√V`` with ``V = w²·max(ΣX²_back, n_back) + max(ΣX²_live + (T − n)·p,
    T·p)``, p the presence; T is less by the nights before a group began. A backtest's share needs
    the live confirmation too. After the rule's nights nothing is crossed.

    Args:
        rule: of the trial.
        z: (groups,), see :func:`quantiles`.
        live, backtest: (…, groups).
        weight: w of the backtest.
        confirmation: of each group, see :func:`registry.promotion.boundary.confirmations`.
    """
    prior = rule.presence_nights
    active, nights = live.active, live.nights - live.before
    if backtest is not None:
        active, nights = active + backtest.active, nights + backtest.nights - backtest.before
    presence = (active + prior) / (nights + prior)
    rest = max(rule.nights - live.nights, 0)
    variance = np.maximum(live.variance + rest * presence, (rule.nights - live.before) * presence)
    score = live.total
    root = np.sqrt(live.variance)
    ratio = np.divide(live.total, root, out=np.full_like(root, np.nan), where=root > 0.0)
    confirmed = (live.active > 0) & (live.nights <= rule.nights)
    if backtest is not None and weight > 0.0:
        score = score + weight * backtest.total
        variance = variance + weight**2 * np.maximum(backtest.variance, backtest.active)
        confirmed &= (ratio >= confirmation) & (live.nights >= rule.confirmation_nights)
    boundary = z * np.sqrt(variance)
    return Look(score, boundary, variance, presence, ratio, (score >= boundary) & confirmed)
