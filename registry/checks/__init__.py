"""The doctor's checks of the Brain Library: tracking server, experiment, artifact store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from registry.checks.library import check_library as check_library

__all__, __getattr__, __dir__ = face(__name__, {"registry.checks.library": "check_library"})
