"""Model keys: a registered model is of a symbol, a timeframe and a horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

from brain.errors import AmbiguousModelError, InputError
from brain.naming import model_name, parse_model_name, parse_symbol
from brain.text import count

__all__ = ["ModelKey", "ModelQuery", "ahead"]


@dataclass(frozen=True, order=True)
class ModelKey:
    """What a registered model is of.

    Attributes:
        symbol: ``BTC/USDT``.
        timeframe: of the bars, ``1h``.
        horizon: bars that predictions look forward.

    Raises:
        InputError: there is no such key.
    """

    symbol: str
    timeframe: str
    horizon: int

    def __post_init__(self) -> None:
        model_name(self.symbol, self.timeframe, self.horizon)  # refuses what is none

    def __str__(self) -> str:
        return f"{self.symbol} on {self.timeframe} bars, {ahead(self.horizon)}"

    @cached_property
    def name(self) -> str:
        """The name of a new registered model, ``BTC-USDT.1h.6``."""
        return model_name(self.symbol, self.timeframe, self.horizon)

    @classmethod
    def of_name(cls, name: str) -> ModelKey:
        """The inverse of :attr:`name`.

        Raises:
            InputError: no model has that name.
        """
        return cls(*parse_model_name(name))

    @property
    def tags(self) -> dict[str, str]:
        """Tags of registered models, versions and runs; see :class:`brain.naming.Tag`."""
        return {name: str(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class ModelQuery:
    """Which models of a symbol are asked for.

    Attributes:
        symbol: of the models.
        timeframe, horizon: of the models; any if None.
    """

    symbol: str
    timeframe: str | None = None
    horizon: int | None = None

    @classmethod
    def parse(
        cls, symbol: str | ModelKey, timeframe: str | None = None, horizon: int | None = None
    ) -> ModelQuery:
        """The query of a symbol in any spelling, or of a key.

        Raises:
            InputError: the symbol is none, or timeframe or horizon differ from the key's.
        """
        if not isinstance(symbol, ModelKey):
            return cls(parse_symbol(symbol), timeframe, horizon)
        query = cls(symbol.symbol, timeframe, horizon)
        if not query.fits(symbol):
            raise InputError(f"the model asked for is of {symbol}, and not of {query}; name one")
        return cls(symbol.symbol, symbol.timeframe, symbol.horizon)

    def __str__(self) -> str:
        bars = f" on {self.timeframe} bars" if self.timeframe else ""
        horizon = f", {ahead(self.horizon)}" if self.horizon else ""
        return f"{self.symbol}{bars}{horizon}"

    def fits(self, key: ModelKey) -> bool:
        """Whether a model of that key is asked for."""
        return (
            key.symbol == self.symbol
            and self.timeframe in (None, key.timeframe)
            and self.horizon in (None, key.horizon)
        )

    def choose(self, names: Mapping[ModelKey, str]) -> ModelKey | None:
        """The one key that fits; None if none does.

        Args:
            names: of the registered models, by their keys.

        Raises:
            AmbiguousModelError: several fit.
        """
        fitting = sorted(key for key in names if self.fits(key))
        if len(fitting) > 1:
            candidates = ", ".join(_candidate(key, names[key]) for key in fitting)
            raise AmbiguousModelError(
                f"{self} could be any of {candidates}; name {_difference(fitting)}"
            )
        return fitting[0] if fitting else None


def ahead(horizon: int) -> str:
    """The horizon in words."""
    return f"{count(horizon, 'bar')} ahead"


def _candidate(key: ModelKey, name: str) -> str:
    """A model's name; one that doesn't tell its key, with its key."""
    return name if name == key.name else f"{name} ({key})"


def _difference(keys: list[ModelKey]) -> str:
    """What must be named to tell the keys apart."""
    first = keys[0]
    timeframe = f"timeframe, as in timeframe={first.timeframe}"
    horizon = f"horizon, as in horizon={first.horizon}"
    if len({key.horizon for key in keys}) == 1:
        return f"the {timeframe}"
    if len({key.timeframe for key in keys}) == 1:
        return f"the {horizon}"
    return f"the {timeframe}, and the {horizon}"
