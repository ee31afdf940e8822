"""What bodies hold, as types: they read them, and the OpenAPI document tells of them.

Numbers may be null, which is unknown, and never text or truth. Other fields than these are refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

__all__ = [
    "BarBody",
    "CellAnswer",
    "ChampionAnswer",
    "ChampionsAnswer",
    "DecisionAnswer",
    "ErrorAnswer",
    "HealthAnswer",
    "ModelAnswer",
    "PredictionsAnswer",
    "RowAnswer",
    "RowBody",
    "ScoringBody",
    "Split",
    "WarmUpAnswer",
    "WarmUpBody",
]

Number = float | None
# Messages repeat names: one that fills a body would be costly to search for secrets.
Name = Annotated[str, Meta(max_length=256)]
Moment = Annotated[
    Annotated[int, Meta(ge=0, le=2**63 - 1)] | Annotated[datetime, Meta(tz=True)],
    Meta(description="Nanoseconds since 1970 UTC, or ISO 8601 with a zone."),
]
Column = Annotated[
    list[Number], Meta(description="A value a bar, oldest first; null where it is unknown.")
]
Record = Annotated[
    dict[Name, Number], Meta(description="A row by names of inputs; null where a value is missing.")
]


class Split(Struct, forbid_unknown_fields=True):
    """A table as pandas' ``to_json(orient="split")`` writes it."""

    columns: list[Name]
    data: list[list[Number]]
    index: Raw | UnsetType = UNSET


class ScoringBody(Struct, forbid_unknown_fields=True):
    """Rows in one of MLflow's scoring formats, oldest first, all inputs of the model by name."""

    dataframe_split: Split | UnsetType = UNSET
    dataframe_records: list[Record] | UnsetType = UNSET
    instances: list[Record] | dict[Name, Column] | UnsetType = UNSET
    inputs: list[Record] | dict[Name, Column | Number] | UnsetType = UNSET


class BarBody(Struct, forbid_unknown_fields=True):
    """A bar; four prices of null are a missing one, and a volume of null is unknown."""

    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    close_time: Moment


class RowBody(Struct, forbid_unknown_fields=True):
    """A row of another kind than bars, as ``funding`` or ``liquidations``."""

    kind: Name
    time: Moment
    available: Moment
    values: Record
    exchange: Name = ""


class WarmUpBody(Struct, forbid_unknown_fields=True):
    """Bars as columns, oldest first."""

    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
    close_time: list[Moment]


class RowAnswer(Struct):
    """The row was taken."""


class WarmUpAnswer(Struct):
    """How many bars were new."""

    bars: int


class PredictionsAnswer(Struct):
    """A prediction a row; null where it is unknown, or the rows before it are too few."""

    predictions: Column


class DecisionAnswer(Struct):
    """What is to be held from the bar's close on, and why."""

    model: str
    time: Annotated[int, Meta(description="The bar's close, nanoseconds since 1970 UTC.")]
    position: float
    exposure: float
    prediction: Number
    expected_bp: Number
    regime: str | None
    version: str | None
    family: str | None
    confidence: Number
    age: Number
    reason: str
    cached: bool


class CellAnswer(Struct):
    """The champion of a cell."""

    model: str
    regime: str
    version: str
    digest: str
    family: str
    confidence: Number
    size: Number
    size_reason: str
    trained_until: Annotated[int, Meta(description="Nanoseconds since 1970 UTC.")]
    look_back: Annotated[int, Meta(description="Rows that a prediction needs, its own included.")]


class ChampionAnswer(CellAnswer):
    """The champion of a cell, with the names of its inputs."""

    inputs: list[str]


class ChampionsAnswer(Struct):
    """All champions that are served."""

    champions: list[CellAnswer]


class ModelAnswer(Struct):
    """What is served of a model."""

    model: str
    versions: Annotated[dict[str, str], Meta(description="Model ids by regime.")]
    failures: Annotated[
        dict[str, str],
        Meta(description="Why a regime has no champion, or not the registry's, by regime."),
    ]
    age: Annotated[
        Number, Meta(description="Seconds since the registry last confirmed them; null is never.")
    ]
    error: Annotated[str, Meta(description="Why the registry's champions were not taken over.")]
    last_close: Annotated[int, Meta(description="Of the last bar that counts, nanoseconds.")]


class HealthAnswer(Struct, omit_defaults=True):
    """Whether decisions are made; the rest is for who bears a token."""

    ready: bool
    models: list[ModelAnswer] | UnsetType = UNSET
    error: str | UnsetType = UNSET
    asked: float | UnsetType | None = UNSET


class ErrorAnswer(Struct):
    """What was wrong, and what cures it."""

    error_code: str
    message: str
