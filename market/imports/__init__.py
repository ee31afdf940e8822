"""Importing what people have on disk: files of market series, checked, stored, gaps on record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from market.imports.importer import import_path as import_path
    from market.imports.results import (
        ImportResult as ImportResult,
        SeriesImport as SeriesImport,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.imports.importer": "import_path",
        "market.imports.results": "ImportResult SeriesImport",
    },
)
