"""Checks of own columns: none has the name of a feature, and the bars are from files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from brain.errors import InputError, SettingsError
from brain.series.source import reads_store
from engine.kernels.dictionary import ENTRIES

if TYPE_CHECKING:
    from brain.settings import Settings

__all__ = ["check_columns", "check_names"]


def check_columns(settings: Settings) -> None:
    """Refuse own columns that no bars of a job can have as features, before anything is read.

    Raises:
        SettingsError: the bars are candles of the series store, which have no own columns.
        InputError: as in :func:`check_names`.
    """
    check_names(settings.columns)
    if settings.columns and reads_store(settings):
        raise SettingsError(
            f"columns={','.join(settings.columns)!r}: candles of {settings.exchanges[0]} have no "
            "columns of your own; name a folder of files with bars=, or no columns"
        )


def check_names(columns: Iterable[str]) -> None:
    """Refuse own columns that could be taken for features of ours.

    Raises:
        InputError: a column has the name of a feature, or differs from it by case alone.
    """
    ours = {entry.name.lower(): entry.name for entry in ENTRIES}
    for column in columns:
        if (name := ours.get(column.lower())) is not None:
            raise InputError(
                f"the column {column!r} has the name of our feature {name!r}; rename it in the "
                "file and in the setting columns"
            )
