"""nautilus_trader's backtest in its own environment.

    python -m tests.trading_engines.nautilus_run RUN

RUN is a JSON file: ``registry``, ``model``, ``capital``, ``account`` (MARGIN or CASH), ``bars``, a
feather file, and ``fills``, the JSON file that is written. The engine's report goes to stdout.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType, QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity

from examples.nautilus_strategy import HamiltonConfig, HamiltonStrategy

HOUR = 3600 * 10**9
VENUE = Venue("BINANCE")
FEE = Decimal("0.0005")


def instrument() -> Any:
    """Bitcoin, three decimals of it at the least."""
    return CurrencyPair(
        InstrumentId(Symbol("BTCUSDT"), VENUE), Symbol("BTCUSDT"), BTC, USDT,
        price_precision=2, size_precision=3,
        price_increment=Price.from_str("0.01"), size_increment=Quantity.from_str("0.001"),
        margin_init=Decimal("0.1"), margin_maint=Decimal("0.05"),
        maker_fee=FEE, taker_fee=FEE, ts_event=0, ts_init=0,
    )  # fmt: skip


def market(file: str, traded: Any, kind: Any) -> list[Any]:
    """Each bar, and a quote of its open just after it: what an order at the last close meets."""
    data: list[Any] = []
    frame = pd.read_feather(file)
    begins = frame["date"].dt.as_unit("ns").astype("int64")
    rows = frame[["open", "high", "low", "close", "volume"]].itertuples(index=False, name=None)
    for begin, (*ohlc, volume) in zip(begins, rows, strict=True):
        prices = [traded.make_price(price) for price in ohlc]
        size = Quantity(1e6, 3)
        data.append(QuoteTick(traded.id, prices[0], prices[0], size, size, begin + 1, begin + 1))
        data.append(Bar(kind, *prices, Quantity(volume, 3), begin + HOUR, begin + HOUR))
    return data


def main() -> None:
    run = json.loads(Path(sys.argv[1]).read_text())
    # Of its log the engine's own report alone.
    report = LoggingConfig(
        log_level="INFO", log_colors=False, log_components_only=True,
        log_component_levels={"BacktestEngine": "INFO"},
    )  # fmt: skip
    engine = BacktestEngine(BacktestEngineConfig(logging=report))
    engine.add_venue(
        VENUE, OmsType.NETTING, AccountType[run["account"]],
        [Money(10 * run["capital"], USDT)],
        latency_model=LatencyModel(base_latency_nanos=1), bar_execution=False,
    )  # fmt: skip
    traded = instrument()
    kind = BarType.from_str(f"{traded.id}-1-HOUR-LAST-EXTERNAL")
    engine.add_instrument(traded)
    engine.add_data(market(run["bars"], traded, kind))
    config = HamiltonConfig(
        registry=run["registry"], model=run["model"], bar_type=kind, capital=run["capital"],
        options={"refresh": None},
    )  # fmt: skip
    engine.add_strategy(HamiltonStrategy(config))
    engine.run()
    fills = engine.trader.generate_fills_report()
    orders = [
        [
            int(fill.ts_event.value),
            fill.order_side.lower(),
            float(fill.last_qty),
            float(fill.last_px),
        ]
        for fill in fills.itertuples()
    ]
    # By the account: the portfolio's realized profit differs from it where positions turn over.
    account = engine.portfolio.account(VENUE)
    equity = float(account.balance_total(USDT))
    if run["account"] == "CASH":
        last = engine.cache.quote_tick(traded.id)
        equity += float(account.balance_total(BTC) or 0) * float(last.bid_price)
    else:
        equity += float(engine.portfolio.unrealized_pnl(traded.id))
    pnl = equity - 10 * run["capital"]
    Path(run["fills"]).write_text(json.dumps({"orders": orders, "pnl": pnl}))
    engine.dispose()


if __name__ == "__main__":
    main()
