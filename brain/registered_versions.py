"""Versions that the Brain Library has registered, by their entries in MLflow's registry."""

from __future__ import annotations

from datetime import UTC, datetime

from brain.errors import InputError, LibraryError
from brain.model_keys import ModelKey
from brain.naming import Family, Tag
from brain.plain_names import version_key
from brain.records import Version
from brain.registry_entries import RegistryReader, VersionEntry

__all__ = ["read_version", "version_of"]


def read_version(reader: RegistryReader, model: str, number: int) -> Version:
    """A version of a registered model.

    Raises:
        LibraryError: there is none, or the Brain Library has not registered it.
    """
    return version_of(reader, reader.version(model, number))


def version_of(reader: RegistryReader, entry: VersionEntry) -> Version:
    """The version of an entry in MLflow's registry.

    Raises:
        LibraryError: the Brain Library has not registered it: it lacks tags.
    """
    tags = entry.tags
    try:
        return Version(
            model=entry.model,
            key=_key_of(reader, entry),
            number=entry.number,
            family=Family(tags[Tag.FAMILY]),
            recipe=tags[Tag.RECIPE],
            digest=tags[Tag.DIGEST],
            trained_until=tags[Tag.TRAINED_UNTIL],
            run_id=entry.run_id,
            # MLflow leaves the entry's ``model_id`` empty.
            logged_model_id=entry.source.removeprefix("models:/"),
            line=tags.get(Tag.LINE, ""),
            made=tags.get(Tag.MADE) or _moment(entry.created_ms),
            refit=tags.get(Tag.REFIT, ""),
        )
    except (KeyError, ValueError) as error:
        raise LibraryError(
            f"version {entry.number} of {entry.model} was not registered by the Brain Library (tag "
            f"{error.args[0]}); use another one, and move aliases such as champion-high off it"
        ) from error


def _key_of(reader: RegistryReader, entry: VersionEntry) -> ModelKey:
    """What a version is of: told by its model's name, or else by its tags.

    Raises:
        KeyError: it is unknown.
    """
    try:
        return ModelKey.of_name(entry.model)
    except InputError:
        key = version_key(reader, entry)
    if key is None:
        raise KeyError(f"{Tag.TIMEFRAME} or {Tag.HORIZON}")
    return key


def _moment(milliseconds: int) -> str:
    """A moment since 1970, ISO 8601 in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
