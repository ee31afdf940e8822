"""A symbol's champions after a night: chosen first, named when all else is done."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from brain.brief import Brief
from brain.errors import BrainError, TrackingUnreachableError
from brain.naming import PRIOR, REGIMES, Family, Policy, Regime, champion_alias, model_id
from brain.records import CellRecord, Champion, Estimate
from brain.standing import Standing
from brain.work import Failure
from engine.evaluation.metrics import paired_difference
from engine.night.cell_records import LineVersions, tonight_record
from engine.night.confidences import Reading, calibrated
from engine.night.sizes import UNREADABLE, Size
from registry.descriptions import run_link
from registry.library import BrainLibrary
from registry.promotion.places import Places
from registry.promotion.rule import provisional_choice

if TYPE_CHECKING:
    from engine.night.promotion import Promotion
    from engine.night.symbols import SymbolResult

__all__ = ["CellChoice", "champion_models", "choose_champions", "name_champions"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class CellChoice(Brief):
    """The choice for one regime of a symbol.

    Attributes:
        regime: of the cell.
        model: name of its registered model.
        version: the champion's.
        record: of the version that the night chose, which is the champion's but for a pinned cell;
            None if the champion of the night before stays as it was.
        challenger: the challenger's version; None if there is none.
    """

    regime: Regime
    model: str
    version: int
    record: CellRecord | None
    challenger: int | None


def choose_champions(
    library: BrainLibrary,
    result: SymbolResult,
    promotion: Promotion,
    versions: LineVersions | None = None,
) -> list[CellChoice]:
    """Choose the symbol's champion and challenger of each regime, by the night's policy.

    A pinned cell keeps its champion. Nothing is written.

    Args:
        library: of the versions.
        result: of the symbol's trainings.
        promotion: of the night.
        versions: of the symbol's lines, where they are asked for later too.
    """
    if not result.lines:
        return []
    if promotion.policy is Policy.PROVISIONAL:
        return _provisional(library, result, promotion.moment)
    places = promotion.places(result.dataset.key)
    lines = versions or LineVersions(library, result)
    return _by_places(library, result, places, lines, promotion.moment)


def _provisional(library: BrainLibrary, result: SymbolResult, moment: datetime) -> list[CellChoice]:
    """By the provisional rule; a cell whose prior has no new version tonight keeps its champion."""
    model = library.model(result.dataset.key)
    champions: dict[Regime, Champion] = {}
    # Champions are read only if a cell may keep its own.
    if not set(PRIOR.values()) <= set(result.versions):
        champions = {c.regime: c for c in library.champions(result.dataset.key)}
    choices = []
    for regime in REGIMES:
        pin = model.champion(regime) if library.is_pinned(model, regime) else None
        stays = champions.get(regime)
        if PRIOR[regime] not in result.versions and stays is not None:
            # A size that a trial judged is none of this policy's.
            judged = not stays.pinned and stays.record.size is not None
            record = replace(stays.record, size=None, size_reason="") if judged else None
            choices.append(CellChoice(regime, model.name, stays.version, record, None))
        elif result.versions:
            differences = _differences(result, regime)
            choices.append(_of_families(result, regime, model.name, pin, differences, moment))
    return choices


def _of_families(
    result: SymbolResult,
    regime: Regime,
    model: str,
    pin: int | None,
    differences: Mapping[Family, Estimate],
    moment: datetime,
) -> CellChoice:
    """The prior's family of tonight, or the one that is better by these differences."""
    choice = provisional_choice(regime, list(result.versions), differences)
    record = tonight_record(
        result, regime, choice.champion, choice.reason, moment, by_evidence=choice.by_evidence
    )
    challenger = result.versions[choice.challenger].number if choice.challenger else None
    champion = record.version if pin is None else pin
    return CellChoice(regime, model, champion, record, challenger)


def _by_places(
    library: BrainLibrary,
    result: SymbolResult,
    places: Places | None,
    lines: LineVersions,
    moment: datetime,
) -> list[CellChoice]:
    """By what a policy says of the cells; one that it says nothing of begins with the prior."""
    model = library.model(result.dataset.key)
    choices = []
    for regime in REGIMES:
        pinned = library.is_pinned(model, regime)
        present = model.champion(regime)
        place = None if places is None else places.get((result.dataset.symbol, regime))
        version = lines.version(place.line) if place else None
        stays = places is None or place is not None or PRIOR[regime] not in result.versions
        if place is not None and version is not None:
            challenger = lines.version(place.challenger) if place.challenger else None
            record = lines.record(regime, place, version, moment)
            number = present if pinned and present is not None else version.number
            second = challenger.number if challenger else None
            choices.append(CellChoice(regime, model.name, number, record, second))
        elif stays and present is not None:
            choices.append(CellChoice(regime, model.name, present, None, None))
        elif result.versions:
            pin = present if pinned else None
            choices.append(_of_families(result, regime, model.name, pin, {}, moment))
    return choices


def champion_models(choices: Sequence[CellChoice]) -> list[str]:
    """The model ids of a symbol's champions, each once."""
    return [model_id(*champion) for champion in sorted({(c.model, c.version) for c in choices})]


def name_champions(
    library: BrainLibrary,
    result: SymbolResult,
    choices: Sequence[CellChoice],
    promotion: Promotion,
    damaged: Collection[str] = (),
    drift: float | None = None,
) -> list[Standing]:
    """Move the symbol's aliases to the chosen versions, and describe its champions.

    A champion that can't be read, as where an alias was moved to another program's version, is a
    failure of the result.

    Args:
        library: where the aliases are.
        result: of the symbol's trainings.
        choices: of its cells.
        promotion: of the night, which judges the champions' sizes.
        damaged: model ids of versions whose files are not as registered.
        drift: share of the features that drifted; None is unknown.

    Returns:
        The champions of the cells, those of the night before included.
    """
    if not choices:
        return []
    key = result.dataset.key
    sizing = promotion.sizing(key)
    # Of a trial whose contest can't be read nothing is known, and so nothing is to be held.
    size = UNREADABLE if promotion.policy is Policy.TRIAL else Size(None)
    reading = Reading.of(result.dataset, promotion.posteriors(key), drift)
    for choice in choices:
        if choice.record is not None:
            record = choice.record
            if sizing is not None:
                intact = model_id(choice.model, record.version) not in damaged
                size = sizing.size(choice.regime, intact=intact)
            record = calibrated(record, choice.regime, size, reading)
            library.set_champion(key, choice.regime, record, choice.challenger)
    links = {v.number: run_link(result.run.experiment_id, v.run_id) for v in result.all_versions}
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
