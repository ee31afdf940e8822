"""Cells in MLflow's registry: a champion is an alias, and a record beside it that says why.

Alias and record are two writes. Between them, and after somebody moved an alias by hand, the record
tells of another version. The alias wins, for that is what every other program loads; what the
record would say is then read from the version's tags and from its run.
"""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from brain.errors import LibraryError
from brain.naming import (
    Regime,
    cell_tag,
    challenger_alias,
    champion_alias,
    model_name,
    previous_alias,
    symbol_of,
)
from brain.records import CellRecord, Champion, Evidence, Version
from brain.text import finite
from registry.mlflow_errors import library_errors
from registry.versions import read_version

__all__ = ["champion_of", "champion_version", "evidence_of", "name_champion"]


def champion_version(model: RegisteredModel, regime: Regime) -> int | None:
    """The version that a cell's alias is at; None if there is no such alias."""
    number = model.aliases.get(champion_alias(regime))
    return None if number is None else int(number)


def champion_of(client: MlflowClient, model: RegisteredModel, regime: Regime) -> Champion | None:
    """The champion of a cell; None if it has none.

    Raises:
        LibraryError: the cell's record can't be read, or the alias is at a version that the Brain
            Library has not registered.
    """
    number = champion_version(model, regime)
    if number is None:
        return None
    symbol = symbol_of(model.name)
    record = _record_of(model, regime)
    if record is not None and record.version == number:
        return Champion(symbol, regime, number, record)
    version = read_version(client, symbol, number)
    record = _own_record(client, version, regime, record)
    return Champion(symbol, regime, number, record, recorded=False)


def evidence_of(client: MlflowClient, version: Version, regime: Regime | None) -> Evidence:
    """What a version has shown, by the metrics of its run; over all bars if the regime is None."""
    with library_errors(client.tracking_uri, f"read the run of {version.id}"):
        metrics = client.get_run(version.run_id).data.metrics
    return Evidence.from_metrics(metrics, regime)


def name_champion(
    client: MlflowClient, symbol: str, regime: Regime, record: CellRecord, challenger: int | None
) -> None:
    """Write a cell's record, then move its aliases; see ``BrainLibrary.set_champion``."""
    name = model_name(symbol)
    with library_errors(client.tracking_uri, f"name the champion of {symbol} in regime {regime}"):
        before = champion_version(client.get_registered_model(name), regime)
        if challenger is not None:
            _alias(client, name, challenger_alias(regime), challenger)
        if before is not None and before != record.version:
            _alias(client, name, previous_alias(regime), before)
        client.set_registered_model_tag(name, cell_tag(regime), record.to_json())
        _alias(client, name, champion_alias(regime), record.version)


def _record_of(model: RegisteredModel, regime: Regime) -> CellRecord | None:
    text = model.tags.get(cell_tag(regime))
    if text is None:
        return None
    try:
        return CellRecord.from_json(text)
    except LibraryError as error:
        raise LibraryError(f"tag {cell_tag(regime)} of model {model.name}: {error}") from error


def _own_record(
    client: MlflowClient, version: Version, regime: Regime, told: CellRecord | None
) -> CellRecord:
    """What a record of this version would say, where the cell's own tells of another or nothing."""
    evidence = evidence_of(client, version, regime)
    why = (
        f"the cell's record at {told.version}: it was moved by hand, or a promotion is under way"
        if told
        else "the cell has no record: it was set by hand"
    )
    return CellRecord(
        version=version.number,
        digest=version.digest,
        family=version.family,
        recipe=version.recipe,
        trained_until=version.trained_until,
        provisional=False,
        reason=f"the alias is at version {version.number}, {why}",
        bars=evidence.bars,
        episodes=evidence.episodes,
        decided="",
        net_sharpe=finite(evidence.net_sharpe.value),
        net_sharpe_error=finite(evidence.net_sharpe.error),
        regimes=told.regimes if told else {},
    )


def _alias(client: MlflowClient, name: str, alias: str, version: int) -> None:
    try:
        client.set_registered_model_alias(name, alias, str(version))
    except MlflowException:
        # Two first inserts of an alias at once: the loser finds it there and moves it.
        client.set_registered_model_alias(name, alias, str(version))
