"""Where bars come from: folders of files, and the packaged sample. Imports registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry._lazy import face

if TYPE_CHECKING:
    from market.files import (
        FolderBars as FolderBars,
        read_folder as read_folder,
        sample_folder as sample_folder,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.files": "FolderBars read_folder sample_folder",
    },
)
