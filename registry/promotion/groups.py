"""The groups of cells that evidence pools over: all cells, each regime, each symbol."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.errors import InputError
from brain.naming import REGIMES

__all__ = ["Booleans", "Floats", "Groups", "Indices"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, repr=False)
class Groups(Brief):
    """All cells, then each regime, then each symbol; a level of one member is left out.

    Attributes:
        symbols: in the order of the evidence.
        regimes: in the order of the evidence.
    """

    symbols: tuple[str, ...]
    regimes: tuple[str, ...] = tuple(str(regime) for regime in REGIMES)

    def __post_init__(self) -> None:
        for what, names in (("symbols", self.symbols), ("regimes", self.regimes)):
            if not names or len(set(names)) < len(names):
                raise InputError(f"{what} {names!r} must be some, each once; list every one once")

    @cached_property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Members of the levels all, regime and symbol; none of a level that repeats the first."""
        return (
            ("all",),
            self.regimes if len(self.regimes) > 1 else (),
            self.symbols if len(self.symbols) > 1 else (),
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """``all``, ``high``, …, ``BTC/USDT``, …: one for each group."""
        return tuple(name for level in self.levels for name in level)

    @cached_property
    def masks(self) -> Booleans:
        """The cells of every group, to be read only: (groups, symbols, regimes)."""
        masks = np.stack([self.cells(name) for name in self.names])
        masks.flags.writeable = False
        return masks

    def shares(self, weights: tuple[float, float, float]) -> Floats:
        """What each group gets of a level of significance: (groups,), which sum to 1.

        Args:
            weights: of the levels all, regime and symbol; those without members give theirs to the
                others in proportion.
        """
        total = sum(w for w, level in zip(weights, self.levels, strict=True) if level)
        return np.array(
            [
                w / (total * len(level))
                for w, level in zip(weights, self.levels, strict=True)
                for _ in level
            ]
        )

    def means(self, values: Floats) -> Floats:
        """The mean over each group's symbols: (…, symbols, regimes) → (…, groups).

        The profits of a symbol's regimes of decision add up; the symbols' are averaged. Unknown
        (NaN) cells don't count, and a group without a known cell is unknown.
        """
        valid = np.isfinite(values)
        filled = np.where(valid, values, 0.0)
        symbols = np.where(valid.any(axis=-1), filled.sum(axis=-1), np.nan)
        parts = [_mean(symbols, axis=-1)[..., None]]
        if len(self.regimes) > 1:
            parts.append(_mean(values, axis=-2))
        if len(self.symbols) > 1:
            parts.append(symbols)
        return np.concatenate(parts, axis=-1)

    def cell(self, symbol: str, regime: str) -> tuple[int, int]:
        """The indices of a cell."""
        return self.symbols.index(symbol), self.regimes.index(regime)

    def cells(self, name: str) -> Booleans:
        """The cells of a group: (symbols, regimes)."""
        if name not in self.names:
            raise InputError(f"there is no group {name!r}; one of {', '.join(self.names)}")
        cells = np.zeros((len(self.symbols), len(self.regimes)), dtype=bool)
        if name == "all":
            cells[:] = True
        elif name in self.regimes:
            cells[:, self.regimes.index(name)] = True
        else:
            cells[self.symbols.index(name)] = True
        return cells


def _mean(values: Floats, axis: int) -> Floats:
    """The mean of the known values along an axis; NaN where there is none."""
    valid = np.isfinite(values)
    count = valid.sum(axis=axis)
    total = np.where(valid, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
