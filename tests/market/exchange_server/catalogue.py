"""The listings of three exchanges, with every case that a client must handle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pandas as pd

from tests.market.exchange_server.times import milliseconds

__all__ = [
    "CHANGED",
    "DELISTED",
    "EXCHANGES",
    "LISTED",
    "NOW",
    "RENAMED",
    "Coin",
    "Listing",
    "catalogue",
    "decimals_of",
]

EXCHANGES = ("binance", "bybit", "okx")

#: The time at which the exchanges stand by default.
NOW = pd.Timestamp("2026-11-20 12:34:56", tz="UTC")
#: When ``LPT`` went from eight hours between settlements to four.
CHANGED = pd.Timestamp("2026-10-21 00:00", tz="UTC")
#: When ``MON`` was listed.
LISTED = pd.Timestamp("2026-10-31 10:00", tz="UTC")
#: When ``FTM`` was delisted.
DELISTED = pd.Timestamp("2026-11-10 09:00", tz="UTC")
#: When ``MATIC`` went and ``POL`` came.
RENAMED = pd.Timestamp("2026-11-05 10:00", tz="UTC")

_OLDEST = {
    "binance": pd.Timestamp("2019-09-25 08:00", tz="UTC"),
    "bybit": pd.Timestamp("2020-03-15 00:00", tz="UTC"),
    "okx": pd.Timestamp("2021-01-29 09:47:08", tz="UTC"),
}


def decimals_of(size: float) -> int:
    """Decimals of a power of ten: 2 of 0.01, -3 of 1000."""
    return -round(len(f"{size:.0f}") - 1) if size >= 1 else len(f"{size:.12f}".rstrip("0")) - 2


@dataclass(frozen=True)
class Coin:
    """How a coin trades.

    Attributes:
        price: about which it moves, in the quote currency.
        places: decimals of its price.
        volume: base units a minute, about.
        lots: decimals of a quantity of base units on Binance and Bybit.
        contract: base units of an OKX contract, a power of ten.
        hours: between settlements.
    """

    name: str
    price: float
    places: int
    volume: float
    lots: int
    contract: float
    hours: int = 8


@dataclass(frozen=True)
class Listing:
    """An instrument of an exchange.

    Attributes:
        symbol: the unified name.
        id: the exchange's name.
        contract_type: ``perpetual`` is what is collected; ``filler`` too, without any special
            case; ``usdc``, ``dated``, ``inverse`` and ``pending`` must not be mistaken for it.
        intervals: (from when on in milliseconds, hours between settlements), oldest first.
        listed: in milliseconds, as ``delisted``, the first time at which it is gone.
    """

    exchange: str
    symbol: str
    id: str
    coin: Coin
    intervals: tuple[tuple[int, int], ...]
    listed: int
    delisted: int | None = None
    contract_type: str = "perpetual"

    @property
    def contract_size(self) -> float:
        return self.coin.contract if self.exchange == "okx" else 1.0

    def gone(self, now: int) -> bool:
        return self.delisted is not None and now >= self.delisted

    def hours_at(self, time: int) -> int:
        """Hours between the settlements after a time."""
        return [hours for since, hours in self.intervals if since <= time or since == 0][-1]


_COINS = {
    coin.name: coin
    for coin in (
        Coin("BTC", 63_000, 2, 120, 3, 0.01),
        Coin("ETH", 2_500, 2, 1_500, 3, 0.1),
        Coin("SOL", 150, 3, 9_000, 2, 1, hours=4),
        Coin("DOGE", 0.2, 5, 400_000, 0, 1_000),
        Coin("KAITO", 1.1, 4, 20_000, 1, 1, hours=1),
        Coin("LPT", 6.2, 3, 3_000, 1, 0.1, hours=4),
        Coin("MON", 0.05, 5, 600_000, 0, 10, hours=4),
        Coin("FTM", 0.6, 4, 50_000, 0, 10),
        Coin("MATIC", 0.35, 4, 80_000, 0, 10),
        Coin("POL", 0.35, 4, 80_000, 0, 10),
    )
}

_IDS = {"binance": "{}USDT", "bybit": "{}USDT", "okx": "{}-USDT-SWAP"}
_USDC = {"binance": "BTCUSDC", "bybit": "BTCPERP", "okx": "BTC-USDC-SWAP"}
_DATED = {"binance": "BTCUSDT_261225", "bybit": "BTCUSDT-25DEC26", "okx": "BTC-USDT-261225"}
_INVERSE = {"bybit": "BTCUSD", "okx": "BTC-USD-SWAP"}  # Binance's are on another host


def _perpetual(exchange: str, coin: Coin) -> Listing:
    listed = {"MON": LISTED, "POL": RENAMED}.get(coin.name, _OLDEST[exchange])
    delisted = {"FTM": DELISTED, "MATIC": RENAMED}.get(coin.name)
    intervals: tuple[tuple[int, int], ...] = ((0, coin.hours),)
    if coin.name == "LPT":
        intervals = ((0, 8), (milliseconds(CHANGED), coin.hours))
    return Listing(
        exchange,
        f"{coin.name}/USDT:USDT",
        _IDS[exchange].format(coin.name),
        coin,
        intervals,
        milliseconds(listed),
        None if delisted is None else milliseconds(delisted),
    )


def _others(exchange: str) -> list[Listing]:
    bitcoin, old = _COINS["BTC"], milliseconds(_OLDEST[exchange])
    eight = ((0, 8),)
    expiry = milliseconds(pd.Timestamp("2026-12-25 08:00", tz="UTC"))
    listings = [
        Listing(
            exchange, "BTC/USDC:USDC", _USDC[exchange], bitcoin, eight, old, contract_type="usdc"
        ),
        Listing(
            exchange, "BTC/USDT:USDT-261225", _DATED[exchange], bitcoin, eight, old, expiry, "dated"
        ),
    ]
    if exchange in _INVERSE:
        listings.append(
            Listing(
                exchange,
                "BTC/USD:BTC",
                _INVERSE[exchange],
                bitcoin,
                eight,
                old,
                contract_type="inverse",
            )
        )
    if exchange != "bybit":
        soon = milliseconds(pd.Timestamp("2027-01-01", tz="UTC"))
        name = _IDS[exchange].format("SOON")
        listings.append(
            Listing(exchange, "SOON/USDT:USDT", name, bitcoin, eight, soon, contract_type="pending")
        )
    return listings


@cache
def catalogue(fillers: int = 520) -> tuple[Listing, ...]:
    """Every instrument of every exchange.

    Args:
        fillers: how many further perpetuals Bybit lists, so that its list takes several pages.
    """
    listings = [_perpetual(exchange, coin) for exchange in EXCHANGES for coin in _COINS.values()]
    for exchange in EXCHANGES:
        listings += _others(exchange)
    for number in range(fillers):
        coin = Coin(f"X{number:03d}", 1.0 + number, 3, 100, 1, 1)
        listings.append(
            Listing(
                "bybit",
                f"{coin.name}/USDT:USDT",
                f"{coin.name}USDT",
                coin,
                ((0, coin.hours),),
                milliseconds(_OLDEST["bybit"]),
                contract_type="filler",
            )
        )
    return tuple(listings)
