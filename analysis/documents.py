"""The JSON documents of a night and of an analysis; what is unknown is null."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from analysis.drift import DriftAnalysis
from analysis.profit import ModelProfit
from analysis.results import ModelAnalysis, NightlyAnalysis
from brain.model_keys import ModelKey
from brain.records import Version
from brain.standing import Standing
from brain.text import finite
from brain.work import Failure

__all__ = [
    "analysis_document",
    "drift_document",
    "failures_document",
    "importance_document",
    "join_documents",
    "night_document",
    "rankings_document",
    "version_document",
]

_FORMAT = 1
_FIRST_FEATURES = 10


# --- the summary of a night ---------------------------------------------------------------------


def night_document(
    standings: Sequence[Standing],
    versions: Sequence[Version],
    analysis: NightlyAnalysis,
    failures: Sequence[Failure],
    seconds: Mapping[str, float],
    certificates: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A night.

    Args:
        standings: of the champion of every cell that has one.
        versions: registered tonight.
        analysis: of the champions.
        failures: of the whole night.
        seconds: by stage.
        certificates: of the versions, see :mod:`analysis.certificates`.
    """
    return {
        "champions": [_champion(standing) for standing in standings],
        "versions": [version_document(version) for version in versions],
        "certificates": [_certificate(certificate) for certificate in certificates],
        **analysis_document(analysis, failures, seconds),
    }


def join_documents(
    parts: Sequence[Mapping[str, Any]],
    failures: Sequence[Failure],
    seconds: Mapping[str, float],
    quality: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A night from its symbols' parts.

    Args:
        parts: documents of nights of one symbol each, in the order of their entries.
        failures: of the whole night.
        seconds: by stage.
        quality: of the series and bars: an entry each with ``symbol``, ``kind``, ``severity``,
            ``note`` and ``findings``, as the quality report has them.
    """
    lists = (
        "champions",
        "versions",
        "certificates",
        "analyses",
        "profits",
        "without_profit",
        "drift",
    )
    return {
        **{key: [entry for part in parts for entry in part.get(key, ())] for key in lists},
        "quality": list(quality),
        "failures": failures_document(failures),
        "seconds": dict(seconds),
    }


def analysis_document(
    analysis: NightlyAnalysis, failures: Sequence[Failure], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """An analysis.

    Args:
        analysis: of all symbols.
        failures: of the whole job.
        seconds: by stage.
    """
    return {
        "analyses": [_model(model) for model in analysis.models],
        "profits": [_profit(profit) for profit in analysis.profits],
        "without_profit": [asdict(version) for version in analysis.without_profit],
        "drift": [drift_document(drift) for drift in analysis.drifts],
        "failures": failures_document(failures),
        "seconds": dict(seconds),
    }


def failures_document(failures: Sequence[Failure]) -> dict[str, str]:
    """The failures' errors by subject and part."""
    return {failure.what: str(failure.error) for failure in failures}


def _champion(standing: Standing) -> dict[str, Any]:
    champion = standing.champion
    record = json.loads(champion.record.to_json())
    del record["regimes"]  # kilobytes for programs, and stored with the model
    return {
        **asdict(champion.key),
        "regime": str(champion.regime),
        "model_id": champion.model_id,
        "uri": champion.uri,
        "pinned": champion.pinned,
        "trained_tonight": standing.trained,
        "age_days": standing.age_days,
        "note": standing.note,
        "why": standing.why,
        **record,
    }


def version_document(version: Version) -> dict[str, Any]:
    """A version, with its key's fields among its own."""
    fields = asdict(version)
    return {**fields.pop("key"), **fields, "model_id": version.id}


def _certificate(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """What was decided of a version's line; its numbers are on the version's run."""
    version, contest = certificate["version"], certificate["contest"]
    keys = ("outcome", "group", "reason", "change")
    return {
        **{key: version[key] for key in ("symbol", "model_id", "family", "line", "run_id")},
        "night": contest["night"] if contest else None,
        "decisions": [{key: d[key] for key in keys} for d in contest["decisions"]]
        if contest
        else [],
    }


def _model(model: ModelAnalysis) -> dict[str, Any]:
    return {
        "symbol": model.symbol,
        "model_id": model.model_id,
        "additivity_error": finite(model.additivity.error),
        "additivity_holds": model.additivity.holds,
        "first_features": {
            str(method): [f.feature for f in ranking.features[:_FIRST_FEATURES]]
            for method, ranking in model.rankings.items()
        },
        "notes": [str(note) for note in model.notes],
    }


def _profit(profit: ModelProfit) -> dict[str, Any]:
    return {
        "symbol": profit.symbol,
        "model_id": profit.model_id,
        "family": str(profit.family),
        "net_sharpe": finite(profit.sharpe.value),
        "net_sharpe_error": finite(profit.sharpe.error),
        "first": profit.first,
        "last": profit.last,
        "net": [round(value, 4) for value in profit.net],
    }


# --- the files of a version and of a symbol -----------------------------------------------------


def importance_document(model: ModelAnalysis) -> dict[str, Any]:
    """A version's importances.

    Its ``table`` has one line per method and feature; a feature without an importance has a line
    with its note and nothing else.
    """
    return {
        "model_id": model.model_id,
        "family": model.family,
        "additivity": _finite_fields(model.additivity) | {"holds": model.additivity.holds},
        "methods": {
            ranking.method: {"rows": ranking.rows, "unseen": ranking.unseen}
            for ranking in model.rankings.values()
        },
        "table": list(_importance_lines(model)),
    }


def _importance_lines(model: ModelAnalysis) -> Iterator[dict[str, Any]]:
    for ranking in model.rankings.values():
        for feature in ranking.features:
            yield {"method": ranking.method, **_finite_fields(feature), "note": None}
    for note in model.notes:
        nothing = dict.fromkeys(("method", "importance", "share", "rank", "error"))
        yield {"feature": note.feature, **nothing, "note": note.reason}


def drift_document(drift: DriftAnalysis) -> dict[str, Any]:
    """A symbol's drift."""
    return {
        "symbol": drift.symbol,
        "recent": asdict(drift.recent),
        "training": asdict(drift.training),
        "statistic": "population stability index, in tenths of the training window",
        "rule": "drifted where it exceeds the 95 % quantile of the feature's own earlier values",
        "judged": drift.comparable,
        "drifted": list(drift.drifted),
        "in_report": list(drift.reported),
        "unknown": list(drift.unknown),
        "columns": [
            _finite_fields(column) | {"drifted": column.drifted} for column in drift.columns
        ],
    }


def rankings_document(
    key: ModelKey, date: dt.date, models: Sequence[ModelAnalysis]
) -> dict[str, Any]:
    """A model's rankings of one night: a list per column, not a name with every number."""
    return {
        "format": _FORMAT,
        **asdict(key),
        "date": date.isoformat(),
        "models": [_rankings(model) for model in models],
    }


def _rankings(model: ModelAnalysis) -> dict[str, Any]:
    return {
        "family": str(model.family),
        "model_id": model.model_id,
        "additivity": _finite_fields(model.additivity),
        "notes": {note.feature: note.reason.name.lower() for note in model.notes},
        "rankings": {
            str(method): {
                "rows": ranking.rows,
                "unseen": ranking.unseen,
                "feature": [f.feature for f in ranking.features],
                "importance": [finite(f.importance) for f in ranking.features],
                "share": [finite(f.share) for f in ranking.features],
                "rank": [f.rank for f in ranking.features],
                "error": [finite(f.error) for f in ranking.features],
            }
            for method, ranking in model.rankings.items()
        },
    }


def _finite_fields(record: Any) -> dict[str, Any]:
    """The fields of a dataclass, None where a number is not finite."""
    return {name: finite(value) for name, value in asdict(record).items()}
