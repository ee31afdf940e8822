"""Who a symbol's champions become after a night: chosen first, named when all else is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from brain.confidence import confidence
from brain.naming import PRIOR, REGIMES, Family, Regime, model_id, model_name
from brain.records import CellRecord, Champion, Estimate
from engine.evaluation.evaluation import paired_difference
from engine.night.model_folder import regime_document
from registry.descriptions import run_link
from registry.library import BrainLibrary
from registry.promotion.rule import Choice, provisional_choice

if TYPE_CHECKING:
    from engine.night.symbols import SymbolResult

__all__ = ["Cell", "choose_champions", "chosen_models", "name_champions"]


@dataclass(frozen=True)
class Cell:
    """What was chosen for one regime of a symbol.

    Attributes:
        version: the champion's.
        record: what will be written of it; None if the champion of the night before stays.
        challenger: the challenger's version, None if there is none.
    """

    regime: Regime
    version: int
    record: CellRecord | None
    challenger: int | None


def choose_champions(library: BrainLibrary, result: SymbolResult) -> list[Cell]:
    """Choose the symbol's champion and challenger of each regime, by the provisional rule.

    A cell keeps its champion if the prior's family has no new version tonight. Nothing is written.
    """
    if not result.versions:
        return []
    standing: dict[Regime, int] = {}
    # Asked only if a cell may keep its champion.
    if not set(PRIOR.values()) <= set(result.versions):
        standing = {c.regime: c.version for c in library.champions(result.dataset.symbol)}
    cells = []
    for code, regime in enumerate(REGIMES):
        if PRIOR[regime] not in result.versions and regime in standing:
            cells.append(Cell(regime, standing[regime], None, None))
            continue
        differences = _differences(result, code, PRIOR[regime])
        choice = provisional_choice(regime, list(result.versions), differences)
        record = _record(result, regime, choice)
        challenger = result.versions[choice.challenger].number if choice.challenger else None
        cells.append(Cell(regime, record.version, record, challenger))
    return cells


def chosen_models(result: SymbolResult, cells: Sequence[Cell]) -> list[str]:
    """The model ids of the chosen champions, each once."""
    name = model_name(result.dataset.symbol)
    return [model_id(name, version) for version in sorted({cell.version for cell in cells})]


def name_champions(
    library: BrainLibrary, result: SymbolResult, cells: Sequence[Cell]
) -> list[Champion]:
    """Move the symbol's aliases to what was chosen, and describe its champions."""
    symbol = result.dataset.symbol
    for cell in cells:
        if cell.record is not None:
            library.set_champion(symbol, cell.regime, cell.record, cell.challenger)
    if cells:
        library.describe(
            symbol,
            {
                v.number: run_link(result.run.experiment_id, v.run_id)
                for v in result.versions.values()
            },
        )
    return [library.champion(symbol, cell.regime) for cell in cells]


def _differences(result: SymbolResult, code: int, prior: Family) -> dict[Family, Estimate]:
    if prior not in result.trained:
        return {}
    rows = result.dataset.regimes == code
    differences = {}
    for family, trained in result.trained.items():
        if family != prior:
            differences[family] = paired_difference(
                trained.net, result.trained[prior].net, rows, result.dataset.horizon
            )
    return differences


def _record(result: SymbolResult, regime: Regime, choice: Choice) -> CellRecord:
    family = choice.champion
    version, trained = result.versions[family], result.trained[family]
    evidence = trained.evidence[regime]
    sharpe = evidence.net_sharpe
    believed = confidence(sharpe.value, sharpe.error, evidence.bars, evidence.episodes)
    return CellRecord(
        version=version.number,
        digest=version.digest,
        family=family,
        recipe=version.recipe,
        trained_until=version.trained_until,
        provisional=True,
        reason=choice.reason,
        by_evidence=choice.by_evidence,
        bars=evidence.bars,
        episodes=evidence.episodes,
        net_sharpe=sharpe.value,
        net_sharpe_error=sharpe.error,
        confidence=believed.probability,
        decided=datetime.now(UTC).isoformat(timespec="seconds"),
        regimes=regime_document(result.dataset),
    )
