"""A symbol's champions after a night: chosen first, named when all else is done."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from brain.brief import Brief
from brain.confidence import confidence
from brain.errors import BrainError, TrackingUnreachableError
from brain.naming import PRIOR, REGIMES, Family, Regime, champion_alias, model_id
from brain.records import CellRecord, Estimate
from brain.standing import Standing
from brain.work import Failure
from engine.evaluation.metrics import paired_difference
from engine.night.model_folder import regime_document
from registry.descriptions import run_link
from registry.library import BrainLibrary
from registry.promotion.rule import Choice, provisional_choice

if TYPE_CHECKING:
    from engine.night.symbols import SymbolResult

__all__ = ["CellChoice", "champion_models", "choose_champions", "name_champions"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class CellChoice(Brief):
    """The choice for one regime of a symbol.

    Attributes:
        regime: of the cell.
        version: the champion's.
        record: of the version that the night chose, which is the champion's but for a pinned cell;
            None if the champion of the night before stays.
        challenger: the challenger's version; None if there is none.
    """

    regime: Regime
    version: int
    record: CellRecord | None
    challenger: int | None


def choose_champions(library: BrainLibrary, result: SymbolResult) -> list[CellChoice]:
    """Choose the symbol's champion and challenger of each regime, by the provisional rule.

    A cell keeps its champion if it is pinned, or if the prior's family has no new version tonight.
    Nothing is written.
    """
    if not result.versions:
        return []
    model = library.model(result.dataset.key)
    champions: dict[Regime, int] = {}
    # Champions are read only if a cell may keep its own.
    if not set(PRIOR.values()) <= set(result.versions):
        champions = {c.regime: c.version for c in library.champions(result.dataset.key)}
    choices = []
    for regime in REGIMES:
        pin = model.champion(regime) if library.is_pinned(model, regime) else None
        stays = champions.get(regime) if pin is None else pin
        if PRIOR[regime] not in result.versions and stays is not None:
            choices.append(CellChoice(regime, stays, None, None))
            continue
        differences = _differences(result, regime)
        choice = provisional_choice(regime, list(result.versions), differences)
        record = _record(result, regime, choice)
        challenger = result.versions[choice.challenger].number if choice.challenger else None
        champion = record.version if pin is None else pin
        choices.append(CellChoice(regime, champion, record, challenger))
    return choices


def champion_models(result: SymbolResult, choices: Sequence[CellChoice]) -> list[str]:
    """The model ids of a symbol's champions, each once."""
    if not choices:
        return []
    name = next(iter(result.versions.values())).model
    return [model_id(name, version) for version in sorted({c.version for c in choices})]


def name_champions(
    library: BrainLibrary, result: SymbolResult, choices: Sequence[CellChoice]
) -> list[Standing]:
    """Move the symbol's aliases to the chosen versions, and describe its champions.

    A champion that can't be read, as where an alias was moved to another program's version, is a
    failure of the result.

    Returns:
        The champions of the cells, those of the night before included.
    """
    if not choices:
        return []
    key = result.dataset.key
    for choice in choices:
        if choice.record is not None:
            library.set_champion(key, choice.regime, choice.record, choice.challenger)
    links = {
        v.number: run_link(result.run.experiment_id, v.run_id) for v in result.versions.values()
    }
    standings = library.describe(key, links, result.run.day)
    for standing in standings:
        if (champion := standing.champion).pinned:
            logger.warning("%s in %s: %s", champion.model_id, champion.regime, standing.why)
    readable = {standing.champion.regime for standing in standings}
    for regime in (choice.regime for choice in choices if choice.regime not in readable):
        try:
            library.champion(key, regime)
        except TrackingUnreachableError:
            raise
        except BrainError as error:
            what = f"{key.symbol} {champion_alias(regime)}"
            result.failures.append(Failure(what, error, symbol=key.symbol))
            result.run.fail()
    return standings


def _differences(result: SymbolResult, regime: Regime) -> dict[Family, Estimate]:
    prior = PRIOR[regime]
    if prior not in result.trainings:
        return {}
    benchmark, horizon = result.trainings[prior].net[regime], result.dataset.horizon
    return {
        family: paired_difference(training.net[regime], benchmark, horizon)
        for family, training in result.trainings.items()
        if family != prior
    }


def _record(result: SymbolResult, regime: Regime, choice: Choice) -> CellRecord:
    family = choice.champion
    version = result.versions[family]
    evidence = result.trainings[family].evidence[regime]
    sharpe = evidence.net_sharpe
    # Without evidence, and without a position, there is nothing to compare.
    unproven = evidence.positions and not evidence.beats_flat
    flat = ("not shown to beat flat",) if unproven else ()
    probability = confidence(
        sharpe.value, sharpe.error, evidence.bars, evidence.episodes
    ).probability
    return CellRecord(
        version=version.number,
        digest=version.digest,
        family=family,
        recipe=version.recipe,
        trained_until=version.trained_until,
        provisional=True,
        reason="; ".join([choice.reason, *flat, *evidence.caveats()]),
        by_evidence=choice.by_evidence,
        bars=evidence.bars,
        episodes=evidence.episodes,
        net_sharpe=sharpe.value,
        net_sharpe_error=sharpe.error,
        confidence=probability,
        cost_bp=round(result.trainings[family].decisions.rule.cost, 3),
        fill=result.dataset.fill.describe(result.dataset.timeframe),
        metrics=evidence.to_metrics(),
        night=result.run.day,
        decided=datetime.now(UTC).isoformat(timespec="seconds"),
        regimes=regime_document(result.dataset),
    )
