"""Whether the settings are those of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from brain.checks import folder_fault
from brain.errors import SeriesStoreError, SettingsError
from brain.naming import spot_exchange
from brain.series.store.address import parse_root
from brain.series.store.object_store import is_s3
from brain.settings import Settings
from market.collection.kinds import MARKET, kinds_of, publishers_of
from market.exchanges import exchange_of
from market.sentiment.opening import check_scorer
from market.sentiment.publishers.catalogue import publisher_of

__all__ = ["check_collection", "collected_exchanges"]

_EXAMPLES = {"exchanges": "binance,bybit,okx", "symbols": "BTC/USDT,ETH/USDT"}


def check_collection(
    settings: Settings,
    *,
    kinds: Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
) -> None:
    """Check that the settings are those of a collection, before anything is written.

    Args:
        settings, kinds, symbols: see :func:`market.night.collect_market`.

    Raises:
        SettingsError: no exchanges or no symbols are named, or spot markets alone.
        InputError: an exchange, a publisher, an address or the scorer is none, or an exchange has
            no history of the timeframe.
        SeriesStoreError: the folder of the series can't be written.
    """
    kinds = kinds_of(settings, kinds)
    needed = {"exchanges": settings.exchanges} if MARKET in kinds else {}
    needed["symbols"] = tuple(settings.symbols if symbols is None else symbols)
    for name, values in needed.items():
        if not values:
            raise SettingsError(
                f"no {name} are named to collect; set BRAIN_{name.upper()}, "
                f"for example to {_EXAMPLES[name]}"
            )
    for exchange in collected_exchanges(settings) if MARKET in kinds else ():
        exchange_of(settings, exchange)
    if publishers := publishers_of(settings, kinds):
        check_scorer(settings.scorer)
    for publisher in publishers:
        publisher_of(settings, publisher)
    root = parse_root(settings.series)
    fault = None if is_s3(root) else folder_fault(Path(root))
    if fault:
        raise SeriesStoreError(
            f"{fault}; make the folder writable, or name another as BRAIN_SERIES"
        )


def collected_exchanges(settings: Settings) -> list[str]:
    """The exchanges that are asked; spot markets are imported.

    Raises:
        SettingsError: spot markets alone are named.
    """
    exchanges = [name for name in settings.exchanges if not spot_exchange(name)]
    if settings.exchanges and not exchanges:
        raise SettingsError(
            f"{', '.join(settings.exchanges)}: spot markets are imported and not collected; name "
            "an exchange of perpetuals too, or use a command that collects nothing, as `train`"
        )
    return exchanges
