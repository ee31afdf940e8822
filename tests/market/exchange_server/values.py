"""Prices, volumes, rates and open interest out of (exchange, symbol, time), by hashing.

Everything is a whole number of the smallest unit that the exchange writes, so that the text on the
wire and the number in a frame are the same value to the last bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.market.exchange_server.catalogue import Listing, decimals_of

__all__ = [
    "Amount",
    "Bars",
    "bars",
    "chance",
    "jitter",
    "mark",
    "open_interest",
    "open_interest_value",
    "rates",
]

Times = NDArray[np.int64]
Floats = NDArray[np.float64]

_DAY = 86_400_000
_MINUTE = 60_000
_WAVES = ((211.0, 0.20), (47.0, 0.10), (11.0, 0.04), (3.1, 0.02), (0.9, 0.008))
#: Decimals of a funding rate, and of a quantity in the quote currency.
_RATE_PLACES = {"binance": 8, "bybit": 8, "okx": 16}
_QUOTE_PLACES = {"binance": 5, "bybit": 4, "okx": 5}
_MARK_PLACES = {"binance": 8}


def _key(*words: object) -> np.uint64:
    digest = hashlib.blake2b("|".join(map(str, words)).encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _hashed(key: np.uint64, times: Times) -> Floats:
    """Uniform on [0, 1), the same for the same key and time (splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = times.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def chance(*words: object) -> float:
    """A number on [0, 1), the same for the same words."""
    return float(_key(*words) >> np.uint64(11)) / float(1 << 53)


@dataclass(frozen=True)
class Amount:
    """Quantities: whole numbers of ``10 ** -places``."""

    units: Times
    places: int

    def __getitem__(self, index: Any) -> Amount:
        return Amount(self.units[index], self.places)

    @property
    def numbers(self) -> Floats:
        """As the nearest floats, which is what reading the text gives."""
        if self.places < 0:
            return (self.units * 10**-self.places).astype(np.float64)
        return self.units / float(10**self.places)

    def text(self, *, plain: bool = False) -> list[str]:
        """As decimals; ``plain`` leaves closing zeros out."""
        if self.places <= 0:
            return [str(unit * 10**-self.places) for unit in self.units.tolist()]
        wide = [f"{unit:0{self.places + 1}d}" for unit in np.abs(self.units).tolist()]
        signs = ["-" if unit < 0 else "" for unit in self.units.tolist()]
        texts = [
            f"{sign}{w[: -self.places]}.{w[-self.places :]}"
            for sign, w in zip(signs, wide, strict=True)
        ]
        return [w.rstrip("0").rstrip(".") for w in texts] if plain else texts

    def to(self, places: int) -> Amount:
        """The same quantity, written in smaller units."""
        return Amount(self.units * 10 ** (places - self.places), places)


def _amount(numbers: Floats, places: int) -> Amount:
    return Amount(np.rint(numbers * 10.0**places).astype(np.int64), places)


def _path(listing: Listing, times: Times) -> Floats:
    days = times / _DAY
    coin = listing.coin
    logs = 0.0012 * (_hashed(_key("price", coin.name), times) - 0.5)
    logs += 0.0003 * (_hashed(_key("price", listing.exchange, listing.id), times) - 0.5)
    for period, height in _WAVES:
        phase = chance("phase", coin.name, period)
        logs += height * np.sin(2 * np.pi * (days / period + phase))
    return coin.price * np.exp(logs)


@dataclass(frozen=True)
class Bars:
    """Candles by open time; ``contracts`` is what ``volume`` is in contracts."""

    times: Times
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: Amount
    contracts: Amount
    quote_volume: Amount
    trades: Times
    taker: Amount
    taker_quote: Amount


def bars(listing: Listing, step: int, times: Times, now: int) -> Bars:
    """Candles that open at ``times`` and last ``step`` milliseconds, or until ``now``."""
    exchange, coin = listing.exchange, listing.coin
    ends = np.minimum(times + step, now)

    def uniform(*words: object) -> Floats:
        return _hashed(_key(*words, exchange, listing.id, step), times)

    first, last = _path(listing, times), _path(listing, ends)
    width = 0.004 * np.sqrt(step / 3_600_000)
    top = np.maximum(first, last) * (1 + width * uniform("high"))
    bottom = np.minimum(first, last) * (1 - width * uniform("low"))
    # Two decimals of a contract are the smallest quantity on OKX.
    places = 2 + decimals_of(coin.contract) if exchange == "okx" else coin.lots
    volume = _amount(
        coin.volume * (ends - times) / _MINUTE * (0.2 + 1.6 * uniform("volume")), places
    )
    quote = _QUOTE_PLACES[exchange]
    share = 0.3 + 0.4 * uniform("taker")
    traded = volume.numbers * (first + last) / 2
    return Bars(
        times=times,
        open=_amount(first, coin.places),
        high=_amount(top, coin.places),
        low=_amount(bottom, coin.places),
        close=_amount(last, coin.places),
        volume=volume,
        contracts=Amount(volume.units, 2 if exchange == "okx" else coin.lots),
        quote_volume=_amount(traded, quote),
        trades=np.rint(uniform("trades") * 5_000).astype(np.int64),
        taker=_amount(volume.numbers * share, max(places, 0)),
        taker_quote=_amount(traded * share, quote),
    )


def mark(listing: Listing, times: Times) -> Amount:
    """The mark price at times."""
    shift = 0.0004 * (_hashed(_key("mark", listing.exchange, listing.id), times) - 0.5)
    places = _MARK_PLACES.get(listing.exchange, listing.coin.places)
    return _amount(_path(listing, times) * (1 + shift), places)


def rates(listing: Listing, settlements: Times) -> Amount:
    """The funding rate that is paid at settlements, a fraction per interval."""
    wave = np.sin(2 * np.pi * (settlements / _DAY / 17 + chance("funding", listing.coin.name)))
    noise = _hashed(_key("funding", listing.exchange, listing.id), settlements) - 0.5
    return _amount(1e-4 + 2.5e-4 * wave + 2e-4 * noise, _RATE_PLACES[listing.exchange])


def jitter(listing: Listing, settlements: Times) -> Times:
    """How many milliseconds late a settlement is stamped: on Binance alone, 0 to 15."""
    if listing.exchange != "binance":
        return np.zeros_like(settlements)
    late = _hashed(_key("jitter", listing.id), settlements)
    return np.floor(np.maximum(late * 24 - 8, 0)).astype(np.int64)


def open_interest(listing: Listing, times: Times) -> Amount:
    """Open interest at times: in contracts on OKX, else in base units."""
    coin = listing.coin
    wave = 0.2 * np.sin(2 * np.pi * (times / _DAY / 29 + chance("interest", coin.name)))
    noise = 0.02 * (_hashed(_key("interest", listing.exchange, listing.id), times) - 0.5)
    base = 800 * coin.volume * np.exp(wave + noise)
    return _amount(base / listing.contract_size, 2 if listing.exchange == "okx" else 3)


def open_interest_value(listing: Listing, times: Times) -> Amount:
    """Open interest at times, in the quote currency at the mark price."""
    base = open_interest(listing, times).numbers * listing.contract_size
    return _amount(base * mark(listing, times).numbers, 4)
