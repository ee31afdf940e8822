"""The records of a symbol's champions, of versions of tonight and of earlier nights."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from brain.confidence import confidence
from brain.naming import Family, Regime
from brain.records import CellRecord, Champion, Evidence, Version
from brain.text import finite
from engine.evaluation.trading import ALL
from engine.night.model_folder import regime_document
from registry.library import BrainLibrary
from registry.promotion.places import Place

if TYPE_CHECKING:
    from engine.night.symbols import SymbolResult

__all__ = ["LineVersions", "tonight_record"]


class LineVersions:
    """A symbol's versions by their lines, each line looked up once.

    Args:
        library: of the versions.
        result: of the symbol's trainings.
    """

    def __init__(self, library: BrainLibrary, result: SymbolResult) -> None:
        self._library = library
        self._result = result
        self._tonight = {
            version.number: (part, family)
            for part in result.parts
            for family, version in part.versions.items()
        }
        self._versions: dict[str, tuple[Version | None, str]] = {}
        self._champions: dict[Regime, Champion] | None = None

    def version(self, line: str) -> Version | None:
        """The version of the line that its champions are: tonight's, or the newest.

        A version that failed its refit check, and one after it that has not been checked yet, are
        passed over while there is one before them. None if the line has no version.
        """
        if line not in self._versions:
            self._versions[line] = self._look_up(line)
        return self._versions[line][0]

    def record(
        self, regime: Regime, place: Place, version: Version, moment: datetime
    ) -> CellRecord:
        """The record of a champion.

        Args:
            regime: of the cell.
            place: of the cell.
            version: of the place's line.
            moment: of the night.
        """
        passed = self._versions[place.line][1]
        reason = "; ".join(filter(None, (place.reason, passed)))
        if version.number in self._tonight:
            part, family = self._tonight[version.number]
            return tonight_record(
                part, regime, family, reason, moment,
                by_evidence=place.by_evidence, provisional=place.better is None,
            )  # fmt: skip
        said: dict[str, Any] = {
            "reason": reason,
            "by_evidence": place.by_evidence,
            "provisional": place.better is None,
            "decided": moment.isoformat(timespec="seconds"),
        }
        champion = self._present(regime)
        if champion is not None and champion.version == version.number:
            return replace(champion.record, line=version.line, **said)
        evidence = self._library.evidence(version, regime)
        over_all = self._library.evidence(version, None)
        fields = _fields(version, evidence, over_all, self._result)
        return CellRecord(**fields, night=version.made[:10], **said)

    def _look_up(self, line: str) -> tuple[Version | None, str]:
        tonight, passed = None, ""
        for version in self._library.line_versions(self._result.dataset.key, line):
            if version.number in self._tonight:
                tonight = tonight or version
            elif version.foreign:
                passed = passed or f"{version.id} is passed over, its refit check {version.refit}"
            else:
                return (version if passed else tonight or version), passed
        return tonight, ""

    def _present(self, regime: Regime) -> Champion | None:
        if self._champions is None:
            champions = self._library.champions(self._result.dataset.key)
            self._champions = {champion.regime: champion for champion in champions}
        return self._champions.get(regime)


def tonight_record(
    result: SymbolResult,
    regime: Regime,
    family: Family,
    reason: str,
    moment: datetime,
    *,
    by_evidence: bool,
    provisional: bool = True,
) -> CellRecord:
    """The record of a version of tonight.

    Args:
        result: of the symbol's trainings.
        regime: of the cell.
        family: of the version.
        reason, by_evidence, provisional: of the choice, see :class:`brain.records.CellRecord`.
        moment: of the night.
    """
    of_family = result.trainings[family].evidence
    evidence = of_family[regime]
    # Without evidence, and without a position, there is nothing to compare.
    unproven = evidence.positions and not evidence.beats_flat
    flat = ("not shown to beat flat",) if unproven else ()
    return CellRecord(
        **_fields(result.versions[family], evidence, of_family[ALL], result),
        provisional=provisional,
        reason="; ".join([reason, *flat, *evidence.caveats()]),
        by_evidence=by_evidence,
        cost_bp=round(result.trainings[family].decisions.rule.cost, 3),
        fill=result.dataset.fill.describe(result.dataset.timeframe),
        night=result.run.day,
        decided=moment.isoformat(timespec="seconds"),
    )


def _fields(
    version: Version, evidence: Evidence, over_all: Evidence, result: SymbolResult
) -> dict[str, Any]:
    """What a record has of a version and its evidence in the regime and over all bars."""
    sharpe = evidence.net_sharpe
    bars, episodes = evidence.bars, evidence.episodes
    share = evidence.share_of(over_all)
    sure = confidence(sharpe.value, sharpe.error, bars or 0, episodes or 0, share=share)
    return {
        "version": version.number,
        "digest": version.digest,
        "family": version.family,
        "recipe": version.recipe,
        "trained_until": version.trained_until,
        "line": version.line,
        "bars": bars,
        "episodes": episodes,
        "net_sharpe": finite(sharpe.value),
        "net_sharpe_error": finite(sharpe.error),
        "confidence": sure.probability,
        "posterior": sure.posterior,
        "metrics": evidence.to_metrics(),
        "regimes": regime_document(result.dataset),
    }
