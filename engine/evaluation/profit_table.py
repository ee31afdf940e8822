"""What a model's predictions earned, bar by bar, as a table that needs nothing else of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from brain.naming import REGIMES
from engine.data.dataset import Dataset
from engine.evaluation.trading import Trading
from engine.kernels.columns import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["out_of_sample_table", "profit_columns"]


def profit_columns(position: Floats, trading: Trading) -> dict[str, Floats]:
    """A position rule and what it earned over all bars, (N,) each.

    Args:
        position: (N,) decided at each close, -1 to 1 of the slot's capital; NaN is no decision.
        trading: on the same rows.

    Returns:
        ``position``; ``gross`` and ``net``, before and after costs and funding; ``delayed``, gross
        with every decision filled one more bar late. Shares of the whole capital, so their sums are
        the whole profit; NaN on bars without a decision, on missing bars, and of ``net`` where
        funding is unknown.
    """
    result, late = trading.profit(position), trading.profit(position, delay=1)
    return {
        "position": position,
        "gross": result.gross / trading.capital(result),
        "net": result.net / trading.capital(result),
        "delayed": late.gross / trading.capital(late),
    }


def out_of_sample_table(
    dataset: Dataset, prediction: Floats, profit: Mapping[str, Floats]
) -> pd.DataFrame:
    """The rows from the first prediction on, by ``close_time``; none without a prediction.

    Rows without a prediction after that stay: what is held earns in them too. The table's ``attrs``
    say what it is of: symbol, timeframe, horizon, and where decisions are filled.

    Args:
        dataset: the rows.
        prediction: (N,) out of sample; NaN is none.
        profit: (N,) each, of :func:`profit_columns`.
    """
    import pandas as pd

    table = pd.DataFrame(
        {
            "prediction": prediction,
            "target": dataset.target,
            "forward_return": dataset.forward_return,
            "fill": dataset.fill_price,
            "close": dataset.close,
            **profit,
            "regime": [REGIMES[code].value if code >= 0 else None for code in dataset.regimes],
        },
        index=dataset.close_time.rename("close_time"),
    )
    table = table[table["prediction"].notna().cummax()]
    table.attrs = {
        "symbol": dataset.symbol,
        "timeframe": dataset.timeframe,
        "horizon": dataset.horizon,
        "fill": dataset.fill.describe(dataset.timeframe),
    }
    return table
