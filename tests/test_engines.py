"""Hamilton inside freqtrade and nautilus_trader: their backtests against decisions made outside.

The engines live in environments of their own, which ``make engines`` makes.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from shutil import copy
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest

from brain.naming import REGIMES, Tag
from engine.data.dataset import make_dataset
from registry.library import BrainLibrary
from serving import Hamilton, Limits
from serving.bars import Bar, missing_bar
from tests.market.exchange_server.server import ExchangeServer
from tests.servers import MlflowServer
from tests.serving.desk import FAMILIES, HORIZON, Models, bars_of, fit, head, rule_of, sample
from tests.serving.remote.champions import register

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SYMBOL, MODEL = "BTC/USD", f"BTC-USD.1h.{HORIZON}"
HOUR = 3600 * 10**9
#: Rows of the sample: the champions are of those before the second, the engines have the others.
FIRST, TRAINED, LAST = 2900, 3000, 4200
#: Taken out; one more is missing by itself, and two have no volume.
GAP = range(3300, 3304)
CAPITAL = 1_000_000.0
FEE = 0.0005


class Order(NamedTuple):
    """A filled order: nanoseconds since 1970 UTC, ``buy`` or ``sell``, units, price."""

    time: int
    side: str
    units: float
    price: float


def order(time: int, change: float, units: float, price: float) -> Order:
    return Order(time, "buy" if change > 0 else "sell", units, price)


def down(units: float) -> float:
    """Units that the exchange takes: three decimals."""
    return math.floor(round(units * 1000, 6)) / 1000


def profit(orders: Sequence[Order], mark: float) -> float:
    """After fees, what is left valued at the mark."""
    signs = [1.0 if o.side == "buy" else -1.0 for o in orders]
    held = sum(sign * o.units for sign, o in zip(signs, orders, strict=True))
    paid = sum(s * o.units * o.price for s, o in zip(signs, orders, strict=True))
    return held * mark - paid - sum(FEE * o.units * o.price for o in orders)


# --- the market, its champions, and Hamilton outside --------------------------------------------


@dataclass(frozen=True)
class Market:
    """Champions in a registry, and the bars that engines have.

    Attributes:
        uri: of the registry.
        folder: for the engines' files.
        bars: of the whole grid; NaN where there is none.
    """

    uri: str
    models: Models
    folder: Path
    bars: list[Bar]

    @property
    def frame(self) -> pd.DataFrame:
        """The bars that exist, as freqtrade keeps them."""
        rows = [bar for bar in self.bars if bar.close == bar.close]
        frame = pd.DataFrame(rows)
        times = pd.to_datetime(frame.pop("close_time") - HOUR, utc=True)
        frame.insert(0, "date", times.dt.as_unit("ns"))
        return frame


@pytest.fixture(scope="module")
def market(_mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Market:
    folder = tmp_path_factory.mktemp("engines")
    bars = sample(SYMBOL)
    dataset = make_dataset(head(bars, TRAINED), horizon=HORIZON)
    models = Models(folder)
    rule = replace(rule_of(dataset, threshold=8.0), cost=FEE * 1e4)
    for place, name in enumerate(FAMILIES):
        regimes = REGIMES[place :: len(FAMILIES)]
        models.add(fit(name, dataset), dataset, rule, regimes)
    _mlflow_server.reset()
    library = BrainLibrary(_mlflow_server.uri)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        with library.start("engines", "night", tags={Tag.ROLE: "night"}, note="") as run:
            register(library, run, models, folder / "registered")
    grid = bars_of(bars, FIRST, LAST)
    for row in GAP:
        grid[row - FIRST] = missing_bar(grid[row - FIRST].close_time)
    return Market(_mlflow_server.uri, models, folder, grid)


@dataclass(frozen=True)
class Outside:
    """What Hamilton decides and books without an engine.

    Attributes:
        exposures: by the closes of the bars.
        profit: in units of the capital.
    """

    exposures: Mapping[int, float]
    profit: float


def decide(market: Market, limits: Limits, *, due: bool) -> Outside:
    """Hamilton, bar by bar, each decision filled at the next open; a bar without volume is none.

    Args:
        limits: of the desk.
        due: whether missing bars are given when they are due, or not at all.
    """
    opens = {bar.close_time: following.open for bar, following in pairwise(market.bars)
             if following.volume > 0}  # fmt: skip
    now, exposures, net = [0], {}, 0.0
    with Hamilton(market.models, [SYMBOL], limits=limits, clock=lambda: now[0]) as hamilton:
        for bar in market.bars[TRAINED - FIRST :]:
            now[0] = bar.close_time
            if not bar.volume > 0 and not due:
                continue
            given = bar if bar.volume > 0 else missing_bar(bar.close_time)
            exposures[bar.close_time] = hamilton.bar(SYMBOL, *given[1:], now[0]).exposure
            earned = hamilton.profit(SYMBOL).bar
            net += 0.0 if math.isnan(earned) else earned
            if price := opens.get(bar.close_time):
                hamilton.row("fill", SYMBOL, "", now[0], now[0], {"price": price})
    assert min(exposures.values()) < 0 < max(exposures.values())
    return Outside(exposures, net)


def needs(engine: str) -> pytest.MarkDecorator:
    """Of tests that need an engine's environment."""
    there = (ROOT / f".venv-{engine}/.installed").exists()
    reason = f"there is no .venv-{engine}: `make engines` could not install it, or was not run"
    return pytest.mark.skipif(not there, reason=reason)


def run(engine: str, folder: Path, *arguments: str | Path) -> str:
    """The output of Python in an engine's environment."""
    done = subprocess.run(
        [ROOT / f".venv-{engine}/bin/python", *arguments],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


# --- freqtrade ----------------------------------------------------------------------------------

#: Binance's answer about its spot market.
SPOT = {
    "timezone": "UTC", "serverTime": 0, "rateLimits": [], "exchangeFilters": [],
    "symbols": [{
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
        "baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"], "permissions": [], "permissionSets": [["SPOT"]],
        "isSpotTradingAllowed": True, "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000",
             "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000", "stepSize": "0.001"},
            {"filterType": "NOTIONAL", "minNotional": "5"},
        ],
    }],
}  # fmt: skip
PAIRS = {"futures": "BTC/USDT:USDT", "spot": "BTC/USDT"}
#: Of the markets that are asked for, in ccxt's words.
KINDS = {"futures": "linear", "spot": "spot"}
#: By the documented configuration; a backtest's candles are never stale.
LIMITS = Limits(symbol=0.2, stale_after=math.inf)


def configuration(market: Market, mode: str, exchange: str) -> dict[str, Any]:
    """What docs/serving.md shows, with an exchange on loopback."""
    pair = PAIRS[mode]
    documented = (ROOT / "docs/serving.md").read_text().partition("```json\n")[2]
    shown = json.loads(documented.partition("```")[0])
    return shown | {
        "trading_mode": mode,
        "margin_mode": "isolated" if mode == "futures" else "",
        "stake_currency": "USDT",
        "stake_amount": CAPITAL,
        "dry_run": True,
        "dry_run_wallet": 3 * CAPITAL,
        "max_open_trades": 1,
        "fee": FEE,
        "pairlists": [{"method": "StaticPairList"}],
        "exchange": {
            "name": "binance",
            "pair_whitelist": [pair],
            "ccxt_config": {
                "urls": {"api": dict.fromkeys(("fapiPublic", "public"), f"{exchange}/fapi/v1")},
                "options": {"fetchMarkets": {"types": [KINDS[mode]]}},
            },
        },
        "brain": shown["brain"] | {"registry": market.uri, "models": {pair: MODEL}},
    }


def write_candles(market: Market, folder: Path) -> None:
    """The bars in freqtrade's data directory; nothing is paid for funding."""
    candles = market.frame
    unpaid = candles.assign(**dict.fromkeys(("open", "high", "low", "close", "volume"), 0.0))
    (folder / "futures").mkdir(parents=True)
    candles.to_feather(folder / "BTC_USDT-1h.feather")
    candles.to_feather(folder / "futures/BTC_USDT_USDT-1h-futures.feather")
    candles.to_feather(folder / "futures/BTC_USDT_USDT-1h-mark.feather")
    unpaid.to_feather(folder / "futures/BTC_USDT_USDT-1h-funding_rate.feather")


@dataclass(frozen=True)
class Freqtrade:
    """What freqtrade has come to: its output, its results by mode, and what a bot held."""

    output: str
    results: dict[str, dict[str, Any]]
    held: list[list[Any]]

    def orders(self, mode: str) -> list[Order]:
        return [
            Order(
                filled["order_filled_timestamp"] * 10**6,
                filled["ft_order_side"],
                filled["amount"],
                filled["safe_price"],
            )
            for trade in self.results[mode]["trades"]
            for filled in trade["orders"]
        ]


@pytest.fixture(scope="module")
def desk(market: Market) -> Iterator[Path]:
    """A folder with strategy, candles and configurations, while the exchanges are up."""
    folder = market.folder / "freqtrade"
    write_candles(market, folder / "data")
    with ExchangeServer() as futures, ExchangeServer() as spot:
        spot.edit = lambda *_: SPOT
        for mode, server in {"futures": futures, "spot": spot}.items():
            strategies = folder / mode / "strategies"
            strategies.mkdir(parents=True)
            copy(EXAMPLES / "freqtrade_strategy.py", strategies)
            config = configuration(market, mode, server.urls["binance"])
            (folder / f"{mode}.json").write_text(json.dumps(config))
            # By the clock of a bot all candles are old.
            config["brain"]["limits"]["stale_after"] = 1e12
            (folder / f"{mode}-bot.json").write_text(json.dumps(config))
        yield folder


def command(name: str, mode: str, config: str, *options: str) -> list[str]:
    """A command of freqtrade's, of the desk."""
    folders = ["--userdir", mode, "--datadir", "data"]
    return [name, "--config", config, *folders, "--strategy", "HamiltonStrategy", *options]


@pytest.fixture(scope="module")
def freqtrade(desk: Path) -> Freqtrade:
    runs = {
        "backtests": [
            command("backtesting", mode, f"{mode}.json", "--export", "trades", "--cache", "none")
            for mode in PAIRS
        ],
        "bot": [command("trade", "futures", "futures-bot.json"), 60, 420, 250],
    }
    (desk / "runs.json").write_text(json.dumps(runs))
    output = run("freqtrade", desk, "-m", "tests.trading_engines.freqtrade_runs", "runs.json")
    *tables, held = output.splitlines()
    results = {mode: _result(desk / mode) for mode in PAIRS}
    return Freqtrade("\n".join(tables), results, json.loads(held))


def _result(userdir: Path) -> dict[str, Any]:
    (archive,) = (userdir / "backtest_results").glob("*.zip")
    with ZipFile(archive) as files:
        result = json.loads(files.read(f"{archive.stem}.json"))
    return dict(result["strategy"]["HamiltonStrategy"])


def candles(market: Market) -> list[Bar]:
    """The bars as freqtrade has them: a gap is filled with the last close."""
    filled: list[Bar] = []
    for bar in market.bars:
        last = filled[-1].close if filled else math.nan
        filled.append(
            bar if bar.close == bar.close else Bar(bar.close_time, last, last, last, last, 0.0)
        )
    return filled


def freqtrade_orders(bars: Sequence[Bar], wanted: Mapping[int, float]) -> list[Order]:
    """What the strategy should order: entries, changes of a fiftieth or more, exits.

    In the last candle nothing is entered any more, and what is held is closed.

    Args:
        bars: without gaps.
        wanted: exposure by the closes.
    """
    orders, held = [], 0.0
    for bar, following in pairwise(bars):
        stake, price = wanted.get(bar.close_time, 0.0) * CAPITAL, following.open
        if held and stake * held <= 0:
            orders.append(order(bar.close_time, -held, abs(held), price))
            held = 0.0
        change = stake - held * bar.close
        last = following is bars[-1]
        if stake and (abs(change) >= 0.02 * abs(stake) if held else not last):
            grows = change * stake > 0
            units = down(abs(change) / (price if grows else bar.close))
            orders.append(order(bar.close_time, change, units, price))
            held += math.copysign(units, change)
        if held and last:
            orders.append(order(bar.close_time, -held, abs(held), price))
    return orders


@needs("freqtrade")
@pytest.mark.parametrize("mode", ["futures", "spot"])
def test_freqtrades_backtest_trades_what_hamilton_decides(
    market: Market, freqtrade: Freqtrade, mode: str
) -> None:
    bars = candles(market)
    outside = decide(market, LIMITS, due=True)
    least = -1.0 if mode == "futures" else 0.0
    wanted = {time: max(exposure, least) for time, exposure in outside.exposures.items()}
    orders = freqtrade.orders(mode)
    expected = freqtrade_orders(bars, wanted)
    print(freqtrade.output.split("Result for strategy")[1 + list(PAIRS).index(mode)])
    assert len(orders) > 200
    assert [o[:2] for o in orders] == [o[:2] for o in expected]
    assert np.allclose([o[2:] for o in orders], [o[2:] for o in expected], rtol=0, atol=1e-9)
    result = freqtrade.results[mode]
    assert bool(result["trade_count_short"]) == (mode == "futures")
    assert result["trade_count_long"] > 10
    assert result["profit_total_abs"] == pytest.approx(profit(expected, 0.0), abs=1e-3)
    if mode == "futures":
        assert_books_agree(result["profit_total_abs"], outside, expected)


def assert_books_agree(earned: float, outside: Outside, orders: Sequence[Order]) -> None:
    """An engine's profit and Hamilton's own differ by less than a basis point of what is traded."""
    traded = sum(o.units * o.price for o in orders)
    booked = outside.profit * CAPITAL
    print(f"engine {earned:+.2f}, Hamilton {booked:+.2f}, of {traded:.0f} traded")
    assert abs(earned - booked) < 1e-4 * traded


@needs("freqtrade")
def test_freqtrades_bot_holds_the_same_candle_by_candle_and_after_a_restart(
    market: Market, freqtrade: Freqtrade
) -> None:
    outside = decide(market, LIMITS, due=True)
    seen = {time: (long, short, signals) for time, long, short, signals in freqtrade.held}
    assert len(freqtrade.held) == 2 * len(seen)
    for time, *values in freqtrade.held:  # each frame twice
        assert np.array_equal(values[:2], seen[time][:2], equal_nan=True)
    assert len(set(outside.exposures) & set(seen)) > 300
    signals_of = {
        1.0: ["enter_long", "exit_short"],
        0.0: ["exit_long", "exit_short"],
        -1.0: ["enter_short", "exit_long"],
    }
    for time, (long, short, signals) in seen.items():
        if time in outside.exposures:
            exposure = outside.exposures[time]
            assert (long, short) == (exposure * CAPITAL, -exposure * CAPITAL)
            assert signals == signals_of[float(np.sign(exposure))]
        else:  # the champions were trained on it
            assert math.isnan(long)
            assert not signals


@needs("freqtrade")
@pytest.mark.soak
@pytest.mark.timeout(900)
def test_freqtrade_itself_finds_no_look_ahead(desk: Path) -> None:
    """It decides again on candles that are cut off after each trade, and compares."""
    options = ["--timerange", "20171031-20171223"]
    options += ["--minimum-trade-amount", "10", "--targeted-trade-amount", "15"]
    options += ["--lookahead-analysis-exportfilename", "found.csv"]
    arguments = command("lookahead-analysis", "futures", "futures.json", *options)
    print(run("freqtrade", desk, "-m", "freqtrade", *arguments))
    found = pd.read_csv(desk / "found.csv")
    assert found["has_bias"].tolist() == [False]
    assert found["total_signals"].item() >= 10


# --- nautilus_trader ----------------------------------------------------------------------------


def nautilus_orders(bars: Sequence[Bar], wanted: Mapping[int, float]) -> list[Order]:
    """What the strategy should order, and where: at the next bar's quote.

    Args:
        bars: that exist.
        wanted: exposure by the closes; the last one holds on where there is none.
    """
    orders, held, exposure = [], 0.0, 0.0
    for bar, following in pairwise(bars):
        exposure = wanted.get(bar.close_time, exposure)
        units = exposure * CAPITAL / bar.close
        change = units - held
        if abs(change) < max(0.02 * abs(units), 0.001):
            continue
        quantity = round(abs(change), 3)
        time = following.close_time - HOUR + 1
        orders.append(order(time, change, quantity, following.open))
        held += math.copysign(quantity, change)
    return orders


@needs("nautilus")
@pytest.mark.parametrize("account", ["MARGIN", "CASH"])
def test_nautilus_traders_backtest_trades_what_hamilton_decides(
    market: Market, account: str, tmp_path: Path
) -> None:
    market.frame.to_feather(tmp_path / "bars.feather")
    (tmp_path / "run.json").write_text(json.dumps({
        "registry": market.uri, "model": MODEL, "capital": CAPITAL, "account": account,
        "bars": str(tmp_path / "bars.feather"), "fills": str(tmp_path / "fills.json"),
    }))  # fmt: skip
    output = run("nautilus", tmp_path, "-m", "tests.trading_engines.nautilus_run", "run.json")
    report = output.partition("BACKTEST POST-RUN")[2].splitlines()
    print(*(line.partition("BacktestEngine: ")[2] for line in report), sep="\n")
    done = json.loads((tmp_path / "fills.json").read_text())
    bars = [bar for bar in market.bars if bar.close == bar.close]
    outside = decide(market, Limits(), due=False)
    least = -1.0 if account == "MARGIN" else 0.0
    wanted = {time: max(exposure, least) for time, exposure in outside.exposures.items()}
    expected = nautilus_orders(bars, wanted)
    orders = [Order(*fill) for fill in done["orders"]]
    assert len(orders) > 200
    assert [o[:2] for o in orders] == [o[:2] for o in expected]
    assert np.allclose([o[2:] for o in orders], [o[2:] for o in expected], rtol=0, atol=1e-9)
    # The last quote is the last bar's open.
    assert done["pnl"] == pytest.approx(profit(expected, bars[-1].open), abs=1e-2)
    if account == "MARGIN":
        assert_books_agree(done["pnl"], outside, expected)


# --- as they read -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["freqtrade_strategy.py", "nautilus_strategy.py"])
def test_the_strategies_have_less_than_fifty_lines(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) < 50
