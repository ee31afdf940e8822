"""Simulated bars with an own column that tells the next bars' drift to who remembers it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from brain.naming import symbol_name

__all__ = ["SYMBOLS", "write_planted"]

SYMBOLS = ("AAA/USD", "BBB/USD", "CCC/USD", "DDD/USD", "EEE/USD")

#: Bars until a pulse shows in a return: more than a prediction looks forward.
_DELAY = 7
_VOLATILITY = 0.01


def write_planted(folder: Path, *, strength: float, seed: int, days: int) -> None:
    """Write hourly bars of five symbols, each with the column ``pulse``, into a new folder.

    A pulse is drawn anew for each bar, and is that share of the return seven bars later: ``0.01 *
    (strength * pulse[t - 7] + sqrt(1 - strength²) * noise[t])``. So what six bars ahead will bring
    is told by the six pulses before the present one, which itself tells nothing of them: a model
    of the present row alone is blind, the LSTM can add them up, and no past return has shown them.

    Args:
        folder: of the files.
        strength: correlation of pulse and return, in [0, 1); 0 is a random walk.
        seed: of everything.
        days: of bars.
    """
    folder.mkdir(parents=True)
    for number, symbol in enumerate(SYMBOLS):
        rng, rows = np.random.default_rng([seed, number]), 24 * days
        pulse = rng.standard_normal(rows)
        drift = np.concatenate([np.zeros(_DELAY), pulse[:-_DELAY]])
        noise = np.sqrt(1.0 - strength**2) * rng.standard_normal(rows)
        close = 100.0 * np.exp(np.cumsum(_VOLATILITY * (strength * drift + noise)))
        aside = 0.01 * _VOLATILITY * rng.standard_normal(rows)
        open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(aside)
        above, below = _VOLATILITY * rng.lognormal(-1.0, 0.5, (2, rows))
        frame = pd.DataFrame(
            {
                "time": pd.date_range("2020-01-01", periods=rows, freq="1h", tz="UTC"),
                "open": open_,
                "high": np.maximum(open_, close) * np.exp(above),
                "low": np.minimum(open_, close) * np.exp(-below),
                "close": close,
                "volume": rng.lognormal(3.0, 0.5, rows),
                "pulse": pulse,
            }
        )
        frame.to_parquet(folder / f"{symbol_name(symbol)}_1h.parquet", index=False)
