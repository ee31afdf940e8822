"""The Brain Library on MLflow's tracking server and registry: models, champions and runs.

The only room that talks to MLflow's registry. Imports brain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face
from brain.patience import set_patience

if TYPE_CHECKING:
    from brain.settings import load_settings as load_settings
    from registry.library import BrainLibrary as BrainLibrary
    from registry.selector import ModelSelector as ModelSelector

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "brain.settings": "load_settings",
        "registry.library": "BrainLibrary",
        "registry.selector": "ModelSelector",
    },
)

set_patience()  # before MLflow asks a server
