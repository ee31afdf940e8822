"""Cells in MLflow's registry: a champion is an alias, and the cell's record says why.

Alias and record are two writes. Between them, and after somebody has moved an alias by hand, the
record describes another version. The alias wins, because every other program loads by it; the
record of its version is then put together from the version's tags and its run's metrics.
"""

from __future__ import annotations

from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun
from mlflow.exceptions import MlflowException

from brain.errors import LibraryError
from brain.naming import (
    Regime,
    cell_tag,
    challenger_alias,
    champion_alias,
    previous_alias,
)
from brain.records import CellRecord, Champion, Evidence, Version
from brain.text import finite
from registry.mlflow_errors import library_errors
from registry.models import SymbolModel
from registry.versions import read_version

__all__ = ["champion_of", "evidence_of", "set_champion"]


def champion_of(client: MlflowClient, model: SymbolModel, regime: Regime) -> Champion | None:
    """The champion of a cell; None if it has none.

    Raises:
        LibraryError: the cell's record can't be read, or the alias is at a version that the Brain
            Library has not registered, or that is of another timeframe or horizon.
    """
    number = model.champion(regime)
    if number is None:
        return None
    record = _cell_record(model, regime)
    if record is not None and record.version == number:
        return Champion(model.name, model.key, regime, number, record)
    version = read_version(client, model.name, number)
    if version.key != model.key:
        raise LibraryError(
            f"{champion_alias(regime)} of {model.name} is at version {number}, which is of "
            f"{version.key} and not of {model.key}; move the alias to another version"
        )
    record = _record_from_run(client, version, regime, record)
    return Champion(model.name, model.key, regime, number, record, recorded=False)


def evidence_of(client: MlflowClient, version: Version, regime: Regime | None) -> Evidence:
    """A version's evidence, by the metrics of its run; over all bars if the regime is None."""
    return Evidence.from_metrics(_run_of(client, version).data.metrics, regime)


def set_champion(
    client: MlflowClient,
    model: SymbolModel,
    regime: Regime,
    record: CellRecord,
    challenger: int | None,
) -> None:
    """Write a cell's record, then move its aliases.

    See :meth:`registry.library.BrainLibrary.set_champion`.
    """
    name, before = model.name, model.champion(regime)
    with library_errors(client.tracking_uri, f"name the champion of {name} in regime {regime}"):
        if challenger is not None:
            _set_alias(client, name, challenger_alias(regime), challenger)
        if before is not None and before != record.version:
            _set_alias(client, name, previous_alias(regime), before)
        client.set_registered_model_tag(name, cell_tag(regime), record.to_json())
        _set_alias(client, name, champion_alias(regime), record.version)


def _run_of(client: MlflowClient, version: Version) -> LoggedRun:
    with library_errors(client.tracking_uri, f"read the run of {version.id}"):
        return client.get_run(version.run_id)


def _cell_record(model: SymbolModel, regime: Regime) -> CellRecord | None:
    """The record beside the cell's alias; None if there is none."""
    text = model.tags.get(cell_tag(regime))
    if text is None:
        return None
    try:
        return CellRecord.from_json(text)
    except LibraryError as error:
        raise LibraryError(f"tag {cell_tag(regime)} of model {model.name}: {error}") from error


def _record_from_run(
    client: MlflowClient, version: Version, regime: Regime, cell_record: CellRecord | None
) -> CellRecord:
    """A record of the version, from its tags and its run's metrics.

    Args:
        cell_record: the cell's record, which describes another version; None if there is none.
    """
    run = _run_of(client, version)
    evidence = Evidence.from_metrics(run.data.metrics, regime)
    reason = (
        f"the cell's record at {cell_record.version}: it was moved by hand, or a promotion is "
        "under way"
        if cell_record
        else "the cell has no record: it was set by hand"
    )
    return CellRecord(
        version=version.number,
        digest=version.digest,
        family=version.family,
        recipe=version.recipe,
        trained_until=version.trained_until,
        provisional=False,
        reason=f"the alias is at version {version.number}, {reason}",
        bars=evidence.bars,
        episodes=evidence.episodes,
        decided="",
        night=f"{datetime.fromtimestamp(run.info.start_time / 1000, UTC):%Y-%m-%d}",
        net_sharpe=finite(evidence.net_sharpe.value),
        net_sharpe_error=finite(evidence.net_sharpe.error),
        regimes=cell_record.regimes if cell_record else {},
    )


def _set_alias(client: MlflowClient, name: str, alias: str, version: int) -> None:
    try:
        client.set_registered_model_alias(name, alias, str(version))
    except MlflowException:
        # Of two first inserts of an alias at once, one fails; its second try moves the alias.
        client.set_registered_model_alias(name, alias, str(version))
