"""The Brain Library's memory and words: models, champions, settings, bars, errors.

The only room that talks to MLflow's registry. Imports nothing of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry._lazy import face

if TYPE_CHECKING:
    from registry.advice import (
        FamilyAdvice as FamilyAdvice,
        Selection as Selection,
        SwitchAdvice as SwitchAdvice,
    )
    from registry.bars import Bars as Bars
    from registry.confidence import Confidence as Confidence, position_size as position_size
    from registry.errors import (
        AnalysisError as AnalysisError,
        ArtifactStoreError as ArtifactStoreError,
        BarsError as BarsError,
        BrainError as BrainError,
        InputError as InputError,
        LibraryError as LibraryError,
        MarketError as MarketError,
        ModelIntegrityError as ModelIntegrityError,
        NoChampionError as NoChampionError,
        NoSuchInstrumentError as NoSuchInstrumentError,
        NotEnoughBarsError as NotEnoughBarsError,
        RateLimitedError as RateLimitedError,
        SeriesStoreError as SeriesStoreError,
        SettingsError as SettingsError,
        TrackingUnreachableError as TrackingUnreachableError,
        TrainingError as TrainingError,
        UnknownFamilyError as UnknownFamilyError,
        UnknownRegimeError as UnknownRegimeError,
        UnknownSymbolError as UnknownSymbolError,
        VenueBlockedError as VenueBlockedError,
        VenueRefusedError as VenueRefusedError,
        VenueShapeError as VenueShapeError,
        VenueUnreachableError as VenueUnreachableError,
    )
    from registry.library import (
        BrainLibrary as BrainLibrary,
        Champion as Champion,
        Version as Version,
    )
    from registry.naming import (
        Family as Family,
        Regime as Regime,
        champion_alias as champion_alias,
        model_name as model_name,
        symbol_of as symbol_of,
    )
    from registry.selector import ModelSelector as ModelSelector
    from registry.series.store import SeriesStore as SeriesStore, Upserted as Upserted
    from registry.settings import Settings as Settings, load_settings as load_settings

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "registry.advice": "FamilyAdvice Selection SwitchAdvice",
        "registry.bars": "Bars",
        "registry.confidence": "Confidence position_size",
        "registry.errors": (
            "AnalysisError ArtifactStoreError BarsError BrainError InputError LibraryError "
            "MarketError ModelIntegrityError NoChampionError NoSuchInstrumentError "
            "NotEnoughBarsError RateLimitedError SeriesStoreError SettingsError "
            "TrackingUnreachableError TrainingError UnknownFamilyError UnknownRegimeError "
            "UnknownSymbolError VenueBlockedError VenueRefusedError VenueShapeError "
            "VenueUnreachableError"
        ),
        "registry.entries": "Champion Version",
        "registry.library": "BrainLibrary",
        "registry.naming": "Family Regime champion_alias model_name symbol_of",
        "registry.selector": "ModelSelector",
        "registry.series.store": "SeriesStore Upserted",
        "registry.settings": "Settings load_settings",
    },
)
