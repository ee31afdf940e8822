"""Cells in MLflow's registry: a champion is an alias, and the cell's record says why.

The record tells which version a night named last. An alias elsewhere was moved by hand: it is a
*pin*, which nights leave where it is until it is released. The alias wins in any case, because
every other program loads by it; the record of its version is then put together from the version's
tags and its run's metrics.

Alias and record are two writes, so a promotion writes its record to a tag of its own first, moves
the alias, and puts the record in the cell's tag. Last it writes the model's description again as it
is: aliases and tags don't move the time of the model's last update, by which executors look for
changes, and a description does. Cut off anywhere, it leaves an alias that is
at the version of one of the two records, which is no pin. (Only a rollback by hand to the version
before, after a promotion that was cut off between its last two writes, looks like one that was cut
off earlier, and is none either.)
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun
from mlflow.exceptions import MlflowException

from brain.errors import InputError, LibraryError
from brain.naming import (
    Regime,
    cell_tag,
    challenger_alias,
    champion_alias,
    previous_alias,
    promotion_tag,
)
from brain.records import CellRecord, Champion, Evidence, Version
from brain.text import finite
from registry.mlflow_errors import library_errors
from registry.models import SymbolModel
from registry.versions import read_version

__all__ = ["champion_of", "evidence_of", "is_pinned", "release", "run_values", "set_champion"]


def champion_of(client: MlflowClient, model: SymbolModel, regime: Regime) -> Champion | None:
    """The champion of a cell; None if it has none.

    Raises:
        LibraryError: the cell's record can't be read, or the alias is at a version that the Brain
            Library has not registered, or that is of another timeframe or horizon.
    """
    number = model.champion(regime)
    if number is None:
        return None
    record = _named(model, regime)
    if record is not None and record.version == number:
        return Champion(model.name, model.key, regime, number, record)
    version = read_version(client, model.name, number)
    if version.key != model.key:
        raise LibraryError(
            f"{champion_alias(regime)} of {model.name} is at version {number}, which is of "
            f"{version.key} and not of {model.key}; move the alias to another version"
        )
    record = _record_from_run(client, version, regime, record)
    return Champion(model.name, model.key, regime, number, record, pinned=True)


def is_pinned(model: SymbolModel, regime: Regime) -> bool:
    """Whether the cell's alias is at another version than a night named last.

    Not if the record can't be read, which the next night writes anew.
    """
    number = model.champion(regime)
    if number is None:
        return False
    try:
        record = _named(model, regime)
    except LibraryError:
        return False
    return record is None or record.version != number


def release(client: MlflowClient, model: SymbolModel, regime: Regime) -> Champion:
    """End a cell's pin: the next night names its champion, and till then the alias stays.

    See :meth:`registry.library.BrainLibrary.release`.
    """
    champion = champion_of(client, model, regime)
    if champion is None or not champion.pinned:
        state = "it has no champion" if champion is None else f"a night named {champion.model_id}"
        raise InputError(
            f"{model.key} is not pinned in regime {regime}: {state}; leave it as it is"
        )
    now = datetime.now(UTC)
    record = replace(
        champion.record,
        reason=f"pinned by hand and released on {now:%Y-%m-%d}; the next night names the champion",
        decided=now.isoformat(timespec="seconds"),
    )
    with library_errors(client.tracking_uri, f"release {model.name} in regime {regime}"):
        client.set_registered_model_tag(model.name, cell_tag(regime), record.to_json())
        _touch(client, model)
    return replace(champion, record=record, pinned=False)


def evidence_of(client: MlflowClient, version: Version, regime: Regime | None) -> Evidence:
    """A version's evidence, by the metrics of its run; over all bars if the regime is None."""
    return Evidence.from_metrics(_run_of(client, version).data.metrics, regime)


def run_values(client: MlflowClient, version: Version) -> tuple[dict[str, str], dict[str, float]]:
    """Parameters and metrics of the run that trained a version."""
    data = _run_of(client, version).data
    return dict(data.params), dict(data.metrics)


def set_champion(
    client: MlflowClient,
    model: SymbolModel,
    regime: Regime,
    record: CellRecord,
    challenger: int | None,
) -> bool:
    """Move a cell's aliases and write its record.

    See :meth:`registry.library.BrainLibrary.set_champion`.
    """
    name, before = model.name, model.champion(regime)
    with library_errors(client.tracking_uri, f"name the champion of {name} in regime {regime}"):
        if is_pinned(model, regime):
            if record.version != before:
                _set_alias(client, name, challenger_alias(regime), record.version)
            return False
        client.set_registered_model_tag(name, promotion_tag(regime), record.to_json())
        if challenger is not None:
            _set_alias(client, name, challenger_alias(regime), challenger)
        if before is not None and before != record.version:
            _set_alias(client, name, previous_alias(regime), before)
        _set_alias(client, name, champion_alias(regime), record.version)
        client.set_registered_model_tag(name, cell_tag(regime), record.to_json())
        client.delete_registered_model_tag(name, promotion_tag(regime))
        _touch(client, model)
    return True


def _run_of(client: MlflowClient, version: Version) -> LoggedRun:
    with library_errors(client.tracking_uri, f"read the run of {version.id}"):
        return client.get_run(version.run_id)


def _named(model: SymbolModel, regime: Regime) -> CellRecord | None:
    """The record of the version that a night named last; None if there is none.

    Raises:
        LibraryError: it can't be read.
    """
    promoted = _record(model, promotion_tag(regime))
    if promoted is not None and promoted.version == model.champion(regime):
        return promoted
    return _record(model, cell_tag(regime))


def _record(model: SymbolModel, tag: str) -> CellRecord | None:
    text = model.tags.get(tag)
    if text is None:
        return None
    try:
        return CellRecord.from_json(text)
    except LibraryError as error:
        raise LibraryError(f"tag {tag} of model {model.name}: {error}") from error


def _record_from_run(
    client: MlflowClient, version: Version, regime: Regime, cell_record: CellRecord | None
) -> CellRecord:
    """A record of the version, from its tags and its run's metrics.

    Args:
        cell_record: the cell's record, which describes another version; None if there is none.
    """
    run = _run_of(client, version)
    evidence = Evidence.from_metrics(run.data.metrics, regime)
    named = f"version {cell_record.version}" if cell_record else "none"
    return CellRecord(
        version=version.number,
        digest=version.digest,
        family=version.family,
        recipe=version.recipe,
        trained_until=version.trained_until,
        provisional=False,
        reason=(
            f"the alias was moved by hand to version {version.number}, a night named {named}; "
            f"`brain release {version.symbol} {regime}` lets the next night name it"
        ),
        bars=evidence.bars,
        episodes=evidence.episodes,
        decided="",
        night=f"{datetime.fromtimestamp(run.info.start_time / 1000, UTC):%Y-%m-%d}",
        net_sharpe=finite(evidence.net_sharpe.value),
        net_sharpe_error=finite(evidence.net_sharpe.error),
        regimes=cell_record.regimes if cell_record else {},
    )


def _touch(client: MlflowClient, model: SymbolModel) -> None:
    """Move the time of a model's last update."""
    client.update_registered_model(model.name, model.description)


def _set_alias(client: MlflowClient, name: str, alias: str, version: int) -> None:
    try:
        client.set_registered_model_alias(name, alias, str(version))
    except MlflowException:
        # Of two first inserts of an alias at once, one fails; its second try moves the alias.
        client.set_registered_model_alias(name, alias, str(version))
