"""Writes of cells in MLflow's registry; what they mean is told by :mod:`brain.cells`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun
from mlflow.exceptions import MlflowException

from brain.cells import champion_of, is_pinned
from brain.errors import InputError
from brain.naming import (
    Regime,
    cell_tag,
    challenger_alias,
    champion_alias,
    previous_alias,
    promotion_tag,
)
from brain.records import CellRecord, Champion, Evidence, Version
from brain.symbol_models import SymbolModel
from registry.mlflow_errors import library_errors
from registry.reader import MlflowReader

__all__ = ["evidence_of", "release", "run_values", "set_champion"]


def release(client: MlflowClient, model: SymbolModel, regime: Regime) -> Champion:
    """End a cell's pin: the next night names its champion, and till then the alias stays.

    See :meth:`registry.library.BrainLibrary.release`.
    """
    champion = champion_of(MlflowReader(client), model, regime)
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


def _touch(client: MlflowClient, model: SymbolModel) -> None:
    """Move the time of a model's last update."""
    client.update_registered_model(model.name, model.description)


def _set_alias(client: MlflowClient, name: str, alias: str, version: int) -> None:
    try:
        client.set_registered_model_alias(name, alias, str(version))
    except MlflowException:
        # Of two first inserts of an alias at once, one fails; its second try moves the alias.
        client.set_registered_model_alias(name, alias, str(version))
