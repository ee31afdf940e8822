"""Funding and fills in the book: the evaluation's, whenever they become known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError
from brain.naming import Family, Fill
from engine.data.dataset import Dataset, make_dataset
from engine.data.market_series import MarketSeries
from engine.evaluation.trading import trading_of
from engine.kernels.columns import Floats
from engine.kernels.position import PositionRule
from engine.kernels.profit import position_profit
from serving import Hamilton, Limits
from serving.bars import Bar
from serving.replay import journals, replay
from tests.engine.markets import market_of
from tests.serving.conftest import TRAINED
from tests.serving.desk import HORIZON, Models, bars_of, fit, give, head, rule_of, sample

EXCHANGE = "binance"
DAY_NS = 86_400 * 10**9
#: Daily bars with missing ones after the training, and hourly ones: trained on, to be given until,
#: the rule's threshold, and the share of settlements that are missing.
SERIES = {
    "ETH/USD": (TRAINED, None, 12.0, 0.02),
    "BTC/USD": (2 * TRAINED, 2 * TRAINED + 300, 1.0, 0.0),
}


def until_then(market: MarketSeries, until: pd.Timestamp) -> MarketSeries:
    """What a night knows."""
    funding, interest = (
        frame[frame["available"] <= until] for frame in (market.funding, market.open_interest)
    )
    return replace(market, funding=funding, open_interest=interest)


@dataclass
class Desk:
    """A symbol whose positions pay funding, its champion, and the bars to come."""

    folder: Path
    symbol: str
    market: MarketSeries
    exchange: str | None = EXCHANGE
    fill: Fill | None = None

    def __post_init__(self) -> None:
        trained, end, threshold, _ = SERIES[self.symbol]
        bars = sample(self.symbol) if end is None else head(sample(self.symbol), end)
        until = bars.close_time[trained - 1]
        known = until_then(self.market, until)
        past, self.whole = (
            make_dataset(
                each, horizon=HORIZON, market=market, fill=self.fill,
                funding_exchange=self.exchange,
            )
            for each, market in ((head(bars, trained), known), (bars, self.market))
        )  # fmt: skip
        self.models, self.first = Models(self.folder / "models"), trained
        self.new = bars_of(bars, trained)
        self.rule = rule_of(past, threshold=threshold)
        self.models.add(fit(Family.LIGHTGBM, past), past, self.rule)

    def start(self) -> Hamilton:
        hamilton = Hamilton(
            self.models, [self.symbol], limits=Limits.off(), journal=self.folder / "journal"
        )
        for exchange in ("binance", "bybit", "okx"):  # or the champion decides nothing
            time = self.whole.close_time[self.first - 1].value
            hamilton.row("open_interest", self.symbol, exchange, time, time, {"base": 1e4})
        return hamilton

    def settlements(self) -> list[tuple[int, dict[str, float]]]:
        rows = self.market.settlements(EXCHANGE)
        after = rows.time_ns > self.whole.close_time[self.first - 1].value
        columns = (c[after].tolist() for c in (rows.time_ns, rows.rate, rows.interval_hours))
        return [(t, {"rate": r, "interval_hours": h}) for t, r, h in zip(*columns, strict=True)]

    def positions(self) -> Floats:
        """What the journal says, of the whole dataset's rows."""
        times = {t: row for row, t in enumerate(self.whole.close_time.as_unit("ns").asi8.tolist())}
        positions = np.full(len(self.whole), np.nan)
        (journal,) = journals(self.folder / "journal")
        for name, entry in journal.entries(journal.files):
            if name == "bar" and entry["side"] is not None:
                positions[times[entry["bar"][0]]] = entry["decision"]["position"]
        return positions

    def expected(self) -> Floats:
        """What the evaluation says that these positions earn, of the bars that were given."""
        profit = trading_of(self.whole, self.rule.cost / 10_000).profit(self.positions())
        assert np.nanstd(profit.gross) > 1e-4
        return profit.net[self.first :]

    def check_replay(self) -> None:
        (result,) = (replay(each, self.models) for each in journals(self.folder / "journal"))
        assert result.differences == ()


def drive(desk: Desk, *, late: bool) -> tuple[Floats, Floats]:
    """Give bars and settlements; what was booked of each bar, and of its day until then.

    Late settlements at a close come after its bar, and a restart between the two now and then.
    """
    hamilton, rows = desk.start(), desk.settlements()
    booked, days = np.full((2, len(desk.new)), np.nan)

    def settle(until: int) -> None:
        while rows and rows[0][0] <= until:
            time, values = rows.pop(0)
            hamilton.row("funding", desk.symbol, EXCHANGE, time, time, values)

    for place, bar in enumerate(desk.new):
        if math.isnan(bar.close):
            continue
        settle(bar.close_time - late)
        give(hamilton, desk.symbol, [bar])
        if place % 40 == 39:
            hamilton.close()
            hamilton = desk.start()
        settle(bar.close_time)
        booked[place], days[place] = hamilton.profit(desk.symbol)[:2]
    hamilton.close()
    return booked, days


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("symbol", SERIES)
def test_funding_is_booked_as_the_evaluation_does(symbol: str, late: bool, tmp_path: Path) -> None:
    desk = Desk(tmp_path, symbol, market_of(sample(symbol), missing=SERIES[symbol][3]))
    booked, days = drive(desk, late=late)
    net = desk.expected()
    unfunded = replace(desk.whole, funding=None)
    without = trading_of(unfunded, desk.rule.cost / 10_000).profit(desk.positions()).net
    assert np.nanmax(np.abs(net - without[desk.first :])) > 1e-6
    if SERIES[symbol][3]:
        assert 5 < np.isnan(net).sum() < len(net) / 3  # settlements are missing, and bars
    np.testing.assert_allclose(booked, net, rtol=0.0, atol=1e-12)
    day_of = np.array([bar.close_time // DAY_NS for bar in desk.new])
    exists = np.array([not math.isnan(bar.close) for bar in desk.new])
    for place in np.flatnonzero(exists):
        mine = (day_of == day_of[place]) & exists & (np.arange(len(net)) <= place)
        assert days[place] == pytest.approx(net[mine].sum(), abs=1e-12, nan_ok=True)
    desk.check_replay()


def test_worked_fills_split_a_bars_funding_as_the_evaluation_does(tmp_path: Path) -> None:
    symbol = "ETH/USD"
    desk = Desk(tmp_path, symbol, market_of(sample(symbol), missing=0.0), fill=Fill.WORKED)
    booked, _ = drive(desk, late=False)
    np.testing.assert_allclose(booked, desk.expected(), rtol=0.0, atol=1e-12)
    assert np.isfinite(booked).sum() == sum(not math.isnan(bar.close) for bar in desk.new)


def test_funding_of_which_nothing_is_given_is_unknown_and_the_limit_counts_the_rest(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path, "ETH/USD", market_of(sample(), missing=0.0))
    hamilton, net, unknown = desk.start(), 0.0, 0
    time = desk.new[0].close_time
    for exchange in ("bybit", "okx"):  # the champion's inputs, and nobody's funding
        values = {"rate": 1e-4, "interval_hours": 8.0}
        hamilton.row("funding", desk.symbol, exchange, time, time, values)
    for bar in desk.new:
        give(hamilton, desk.symbol, [bar])
        profit, book = hamilton.profit(desk.symbol), hamilton._all[0].book
        assert math.isfinite(book.net)
        if math.isnan(profit.day):
            assert math.isnan(profit.bar)
            unknown, net = unknown + 1, book.net
    assert unknown > 24
    assert net != 0.0


def test_an_exchange_that_is_not_known_leaves_what_is_held_unknown(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "ETH/USD", market_of(sample(), missing=0.0), exchange="unknown")
    booked, _ = drive(desk, late=False)
    net = desk.expected()
    assert np.isnan(net[np.isfinite(desk.whole.close[desk.first :])]).any()
    np.testing.assert_allclose(booked, net, rtol=0.0, atol=1e-12)


def test_the_funding_that_is_paid_may_be_of_an_exchange_without_features(tmp_path: Path) -> None:
    market = market_of(sample(), missing=0.0)
    others = replace(
        market,
        funding=market.funding[market.funding["exchange"] != EXCHANGE],
        open_interest=market.open_interest[market.open_interest["exchange"] != EXCHANGE],
    )
    dataset = make_dataset(
        head(sample(), TRAINED), horizon=HORIZON, market=others, funding_exchange=EXCHANGE
    )
    models = Models(tmp_path)
    models.add(fit(Family.LIGHTGBM, dataset), dataset)
    hamilton = Hamilton(models, ["ETH/USD"], limits=Limits.off())
    time, values = dataset.close_time[-1].value, {"rate": 1e-4, "interval_hours": 8.0}
    hamilton.row("funding", "ETH/USD", EXCHANGE, time, time, values)
    with pytest.raises(InputError, match="'ftx'"):
        hamilton.row("funding", "ETH/USD", "ftx", time, time, values)


# --- fills --------------------------------------------------------------------------------------


def finer_desk(folder: Path) -> tuple[Models, Dataset, PositionRule, list[Bar]]:
    """A version that was evaluated on fills in finer bars."""
    past = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    rule = replace(rule_of(past, threshold=12.0), fill=Fill.FINER)
    models = Models(folder / "models")
    models.add(fit(Family.LIGHTGBM, past), past, rule)
    return models, make_dataset(sample(), horizon=HORIZON), rule, bars_of(sample(), TRAINED)


def test_fills_that_are_given_are_booked_and_else_it_says_where_it_books(tmp_path: Path) -> None:
    models, whole, rule, new = finer_desk(tmp_path)
    journal = tmp_path / "journal"
    rng = np.random.default_rng(3)
    fills = whole.open[TRAINED + 1 :] * (1.0 + 0.01 * rng.standard_normal(len(new) - 1))
    fills[rng.random(len(fills)) < 0.1] = np.nan  # where finer bars are missing nothing is filled
    fills = np.append(fills, np.nan)
    positions, booked, places = np.full((3, len(new)), np.nan)
    hamilton = Hamilton(models, ["ETH/USD"], limits=Limits.off(), journal=journal)
    for place, bar in enumerate(new):
        decision = hamilton.bar("ETH/USD", *bar[1:], bar.close_time)
        exists = not math.isnan(bar.close)
        positions[place] = decision.position if decision.regime is not None and exists else np.nan
        profit = hamilton.profit("ETH/USD")
        booked[place] = profit.bar
        places[place] = profit.booked == "given"
        assert profit.fill is Fill.FINER
        hamilton.row(
            "fill", "ETH/USD", "", bar.close_time, bar.close_time + 1, {"price": fills[place]}
        )
        if place % 40 == 39:  # between a fill and its bar
            hamilton.close()
            hamilton = Hamilton(models, ["ETH/USD"], limits=Limits.off(), journal=journal)
    hamilton.close()
    expected = position_profit(
        positions, fills, whole.close[TRAINED:], horizon=HORIZON, cost=rule.cost / 10_000
    ).net
    assert np.nanstd(expected) > 1e-4
    np.testing.assert_allclose(booked, expected, rtol=0.0, atol=1e-12)
    assert places.tolist() == [0.0] + [1.0] * (len(new) - 1)
    (result,) = (replay(each, models) for each in journals(journal))
    assert result.differences == ()


def test_without_a_fill_the_next_open_stands_for_it_and_it_says_so(tmp_path: Path) -> None:
    models, _, _, new = finer_desk(tmp_path)
    hamilton = Hamilton(models, ["ETH/USD"], limits=Limits.off())
    assert hamilton.profit("ETH/USD").booked == ""
    give(hamilton, "ETH/USD", new[:2])
    assert hamilton.profit("ETH/USD")[2:] == (Fill.FINER, "open")


def test_a_fill_is_of_the_last_decision_alone(tmp_path: Path) -> None:
    models, _, _, (first, second, *_) = finer_desk(tmp_path)
    hamilton = Hamilton(models, ["ETH/USD"], limits=Limits.off())
    price = {"price": first.close}

    def fill(bar: Bar, values: dict[str, float]) -> None:
        time = pd.Timestamp(bar.close_time, tz="UTC")
        hamilton.row("fill", "ETH/USD", "", time, time, values)

    with pytest.raises(InputError, match="the last decision's close is there is none"):
        fill(first, price)
    give(hamilton, "ETH/USD", [first, second])
    with pytest.raises(InputError, match="give it after its bar and before the next one"):
        fill(first, price)
    with pytest.raises(InputError, match=r"price is 0\.0"):
        fill(second, {"price": 0.0})
    with pytest.raises(InputError, match="fill has no 'prize'"):
        fill(second, {"prize": 1.0})


def test_a_new_version_fills_and_pays_as_it_was_evaluated(tmp_path: Path) -> None:
    models, _, rule, new = finer_desk(tmp_path)
    hamilton = Hamilton(models, ["ETH/USD"], limits=Limits.off(), journal=tmp_path / "journal")
    give(hamilton, "ETH/USD", new[:3])
    market = market_of(sample(), missing=0.0)
    past = make_dataset(
        head(sample(), TRAINED), horizon=HORIZON, market=market, funding_exchange=EXCHANGE
    )
    models.add(fit(Family.XGBOOST, past), past, replace(rule, fill=Fill.WORKED))
    hamilton.reload("ETH/USD")
    give(hamilton, "ETH/USD", new[3:5])
    assert hamilton.profit("ETH/USD")[2:] == (Fill.WORKED, "worked")
    assert hamilton._all[0].book._funding is not None
    hamilton.close()
    (result,) = (replay(each, models) for each in journals(tmp_path / "journal"))
    assert result.differences == ()
