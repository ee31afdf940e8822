"""The certificates of a symbol's versions: a document and a model card on each version's run.

Every version of tonight has one, whatever was decided of its line, and every champion of an earlier
night a new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.card_page import card_page
from analysis.documents import drift_document, version_document
from analysis.failures import Stage, catch_failure
from analysis.results import Method, NightlyAnalysis
from brain.artifacts import CERTIFICATE, MODEL_CARD
from brain.naming import REGIMES
from brain.records import Evidence
from brain.standing import Standing
from brain.text import finite
from brain.work import Failure

if TYPE_CHECKING:
    from engine.night.promotion import Promotion
    from engine.night.symbols import SymbolData, SymbolResult
    from registry.library import BrainLibrary
    from registry.runs import Run

__all__ = ["log_certificates"]

_FORMAT = 1
_FIRST_FEATURES = 10
_MISSING, _ALL = "missing/", "missing/all"
_DRIFT = ("recent", "judged", "drifted", "rule")


def log_certificates(
    library: BrainLibrary,
    night: Run,
    data: SymbolData,
    result: SymbolResult,
    standings: Sequence[Standing],
    analysis: NightlyAnalysis,
    promotion: Promotion,
) -> tuple[list[dict[str, Any]], list[Failure]]:
    """Put a certificate on the run of each version of tonight, and of each other champion.

    Args:
        library: where the versions' runs are.
        night: the night's run.
        data: of the symbol.
        result: of the symbol's trainings.
        standings: of the symbol's champions.
        analysis: of the same.
        promotion: of the night.

    Returns:
        The certificates, and what could not be read or logged; the rest is.

    Raises:
        TrackingUnreachableError: the tracking server does not answer.
    """
    documents: list[dict[str, Any]] = []
    failures: list[Failure] = []
    symbol = data.dataset.symbol
    bars = _bars(data)
    versions = {version.id: version for version in result.all_versions}
    for model_id in dict.fromkeys([*versions, *(s.champion.model_id for s in standings)]):
        with catch_failure(failures, symbol, Stage.STORAGE, model_id):
            version = versions.get(model_id) or library.version_of(model_id)
            params, metrics = library.run_values(version)
            document = {
                "format": _FORMAT,
                "night": night.day,
                "policy": str(promotion.policy),
                "version": version_document(version),
                "champions": [_champion(standing) for standing in standings],
                "contest": promotion.certificate(version.key, version.line),
                "data": {**bars, **_missing(metrics)},
                "training": params,
                "evaluation": dict(_evaluation(metrics)),
                "explanation": _explanation(analysis, model_id),
                "drift": _drift(analysis),
            }
            run = library.run_of(version, night.number)
            run.document(document, CERTIFICATE)
            run.text(card_page(document), MODEL_CARD)
            documents.append(document)
    return documents, failures


def _champion(standing: Standing) -> dict[str, Any]:
    """A cell's champion: version, digest, size, and why."""
    champion, record = standing.champion, standing.champion.record
    return {
        "regime": str(champion.regime),
        "model_id": champion.model_id,
        "digest": record.digest,
        "family": str(record.family),
        "line": record.line or None,
        "size": record.size,
        "confidence": record.confidence,
        "expected": None
        if record.posterior is None
        else {key: finite(value) for key, value in asdict(record.posterior).items()},
        "factors": [asdict(factor) for factor in record.factors],
        "why": standing.why,
    }


def _bars(data: SymbolData) -> dict[str, Any]:
    """The symbol's bars of tonight and what is to be known of them."""
    bars, dataset = data.bars, data.dataset
    closes = bars.close_time
    return {
        "source": bars.source or None,
        "digest": dataset.digest,
        "timeframe": bars.timeframe,
        "calendar": bars.calendar,
        "first": closes[0].isoformat(),
        "last": closes[-1].isoformat(),
        "bars": len(bars.frame),
        "missing_bars": int(bars.frame["close"].isna().sum()),
        "own_columns": list(bars.own),
        "unused_columns": list(bars.unused),
        "repairs": list(bars.repairs),
        "findings": list(bars.findings.listed(pd.DatetimeIndex(bars.frame.index))),
    }


def _missing(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Shares of the training rows in which features were missing, of the version's run."""
    shares = {
        key.removeprefix(_MISSING): share
        for key, share in sorted(metrics.items())
        if key.startswith(_MISSING) and key != _ALL
    }
    return {"missing_values": metrics.get(_ALL), "missing_by_feature": shares}


def _evaluation(metrics: Mapping[str, float]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The estimates in each regime and over all bars."""
    for regime in (*REGIMES, None):
        evidence = Evidence.from_metrics(metrics, regime)
        yield (
            str(regime or "all"),
            {
                "bars": evidence.bars,
                "episodes": evidence.episodes,
                "positions": evidence.positions,
                "years": finite(evidence.years),
                "caveats": list(evidence.caveats()),
                "beats_flat": evidence.beats_flat,
                "estimates": {
                    name: {"value": finite(estimate.value), "error": finite(estimate.error)}
                    for name, estimate in evidence.estimates().items()
                },
            },
        )


def _explanation(analysis: NightlyAnalysis, model_id: str) -> dict[str, Any] | None:
    """The first features by each method; None of a version that was not explained tonight."""
    for model in analysis.models:
        if model.model_id == model_id:
            return {
                "adds_up": model.additivity.holds,
                "first_features": {
                    str(method): [
                        {
                            "feature": feature.feature,
                            "share": finite(feature.share),
                            "importance": finite(feature.importance),
                            "error": finite(feature.error),
                        }
                        for feature in model.rankings[method].features[:_FIRST_FEATURES]
                    ]
                    for method in Method
                    if method in model.rankings
                },
            }
    return None


def _drift(analysis: NightlyAnalysis) -> dict[str, Any] | None:
    """What has drifted in the symbol's recent bars; None if they were not compared."""
    for drift in analysis.drifts:
        document = drift_document(drift)
        return {key: document[key] for key in _DRIFT}
    return None
