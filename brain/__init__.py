"""The ground floor: errors, names, records, settings and series, for every room.

Imports nothing of the other rooms. The standard library alone is enough for :mod:`brain.artifacts`,
:mod:`brain.champion_source`, :mod:`brain.confidence`, :mod:`brain.costs`, :mod:`brain.errors`,
:mod:`brain.manifest`, :mod:`brain.model_keys`, :mod:`brain.naming`, :mod:`brain.recipes`,
:mod:`brain.records`, :mod:`brain.redact`, :mod:`brain.sizing`, :mod:`brain.text` and
:mod:`brain.work`.
:mod:`brain.settings` needs pydantic-settings, :mod:`brain.processes` psutil, :mod:`brain.console`
and :mod:`brain.checks` rich, :mod:`brain.workers` joblib and psutil, and :mod:`brain.series` pandas
and pyarrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from brain.confidence import Confidence as Confidence, position_size as position_size
    from brain.errors import (
        AmbiguousModelError as AmbiguousModelError,
        AnalysisError as AnalysisError,
        ArtifactStoreError as ArtifactStoreError,
        BarsError as BarsError,
        BrainError as BrainError,
        ExchangeBlockedError as ExchangeBlockedError,
        ExchangeRefusedError as ExchangeRefusedError,
        ExchangeShapeError as ExchangeShapeError,
        ExchangeUnreachableError as ExchangeUnreachableError,
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
    )
    from brain.model_keys import ModelKey as ModelKey
    from brain.naming import (
        Family as Family,
        Regime as Regime,
        champion_alias as champion_alias,
        model_name as model_name,
        symbol_name as symbol_name,
        symbol_of as symbol_of,
    )
    from brain.recipes import Recipe as Recipe, own_columns as own_columns
    from brain.records import (
        CellRecord as CellRecord,
        Champion as Champion,
        Estimate as Estimate,
        Evidence as Evidence,
        FamilyAdvice as FamilyAdvice,
        Selection as Selection,
        SwitchAdvice as SwitchAdvice,
        Version as Version,
    )
    from brain.settings import Settings as Settings, load_settings as load_settings
    from brain.work import Failure as Failure, Progress as Progress

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "brain.confidence": "Confidence position_size",
        "brain.errors": (
            "AmbiguousModelError AnalysisError ArtifactStoreError BarsError BrainError "
            "ExchangeBlockedError ExchangeRefusedError ExchangeShapeError "
            "ExchangeUnreachableError InputError LibraryError MarketError ModelIntegrityError "
            "NoChampionError NoSuchInstrumentError NotEnoughBarsError RateLimitedError "
            "SeriesStoreError SettingsError TrackingUnreachableError TrainingError "
            "UnknownFamilyError UnknownRegimeError UnknownSymbolError"
        ),
        "brain.model_keys": "ModelKey",
        "brain.naming": "Family Regime champion_alias model_name symbol_name symbol_of",
        "brain.recipes": "Recipe own_columns",
        "brain.records": (
            "CellRecord Champion Estimate Evidence FamilyAdvice Selection SwitchAdvice Version"
        ),
        "brain.settings": "Settings load_settings",
        "brain.work": "Failure Progress",
    },
)
