"""Cells by the entry of their registered model: a champion is an alias, and a record says why.

The record tells which version a night named last. An alias elsewhere was moved by hand: it is a
*pin*, which nights leave where it is until it is released. The alias wins in any case, because
every other program loads by it; the record of its version is then put together from the version's
tags and its run's metrics.

Alias and record are two writes, so a promotion writes its record to a tag of its own first, moves
the alias, and puts the record in the cell's tag. Cut off anywhere, it leaves an alias that is at
the version of one of the two records, which is no pin. (Only a rollback by hand to the version
before, after a promotion that was cut off between its last two records, looks like one that was cut
off earlier, and is none either.) Last it writes the model's description again as it is: aliases and
tags don't move the time of the model's last update, by which executors look for changes, and a
description does.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from brain.errors import BrainError, LibraryError, TrackingUnreachableError
from brain.naming import Regime, cell_tag, champion_alias, promotion_tag
from brain.records import CellRecord, Champion, Evidence, Version
from brain.registered_versions import read_version
from brain.registry_entries import RegistryReader
from brain.symbol_models import SymbolModel
from brain.text import finite

__all__ = ["champion_of", "champions_of", "is_pinned"]

logger = logging.getLogger(__name__)


def champions_of(reader: RegistryReader, model: SymbolModel) -> list[Champion]:
    """The champions of a model's cells. One that can't be read is left out, and the log says why.

    Raises:
        TrackingUnreachableError: the registry does not answer.
    """
    champions = []
    for regime in Regime:
        try:
            champion = champion_of(reader, model, regime)
        except TrackingUnreachableError:
            raise
        except BrainError as error:
            logger.error("left out the champion of %s in %s: %s", model.name, regime, error)
        else:
            champions += [champion] if champion else []
    return champions


def champion_of(reader: RegistryReader, model: SymbolModel, regime: Regime) -> Champion | None:
    """The champion of a cell; None if it has none.

    Args:
        reader: of the registry; asked only where the alias was moved by hand.
        model: of the cell.
        regime: of the cell.

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
    version = read_version(reader, model.name, number)
    if version.key != model.key:
        raise LibraryError(
            f"{champion_alias(regime)} of {model.name} is at version {number}, which is of "
            f"{version.key} and not of {model.key}; move the alias to another version"
        )
    record = _record_from_run(reader, version, regime, record)
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
    reader: RegistryReader, version: Version, regime: Regime, cell_record: CellRecord | None
) -> CellRecord:
    """A record of the version, from its tags and its run's metrics.

    Args:
        reader: of the registry.
        version: that the alias is at.
        regime: of the cell.
        cell_record: the cell's record, which describes another version; None if there is none.
    """
    run = reader.run(version.run_id)
    if run is None:
        raise LibraryError(
            f"the run of {version.id} is gone, and with it what is known of the version; restore "
            f"the run, or move {champion_alias(regime)} to another version"
        )
    evidence = Evidence.from_metrics(run.metrics, regime)
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
        night=f"{datetime.fromtimestamp(run.started_ms / 1000, UTC):%Y-%m-%d}",
        net_sharpe=finite(evidence.net_sharpe.value),
        net_sharpe_error=finite(evidence.net_sharpe.error),
        regimes=cell_record.regimes if cell_record else {},
    )
