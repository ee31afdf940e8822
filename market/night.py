"""The market's part of a night: collect what is missing, look at what is there, say how it is."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from brain.errors import SeriesStoreError, SettingsError
from brain.series.source import SeriesLibrary
from brain.settings import Settings
from brain.work import Failure, Progress
from market.collection.collector import DataCollector
from market.collection.results import CollectionResult, SeriesResult
from market.exchanges import exchange_of
from market.quality.record import QualityRecord
from market.quality.report import QualityReport
from market.quality.store_check import check_store

__all__ = ["MarketNight", "check_askable", "collect_market"]

logger = logging.getLogger(__name__)

_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class MarketNight:
    """What was collected, and how it is.

    Attributes:
        collected: a result for each series.
        report: of the series whose exchange answered.
    """

    collected: CollectionResult
    report: QualityReport

    @property
    def done(self) -> bool:
        """Whether anything could be collected."""
        return len(self.collected.failures) < len(self.collected.series)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What failed and why; what failed alike is told once for each exchange and symbol."""
        alike: dict[str, dict[str, list[SeriesResult]]] = {}
        for result in self.collected.failures:
            by_exchange = alike.setdefault(str(result.failure), {})
            by_exchange.setdefault(result.exchange, []).append(result)
        return tuple(
            Failure(subject, error)
            for by_exchange in alike.values()
            for exchange, results in by_exchange.items()
            if (error := results[0].failure) is not None
            for subject in self._named(exchange, results)
        )

    def metrics(self) -> dict[str, float]:
        """What is known of the whole; the line over the nights shows a market going quiet."""
        metrics = {
            "market/rows_new": float(self.collected.rows_new),
            "market/failed": float(len(self.collected.failures)),
        }
        missing = [r.missing for r in self.collected.series if r.missing is not None]
        return metrics | ({"market/missing": float(sum(missing))} if missing else {})

    def _named(self, exchange: str, failed: list[SeriesResult]) -> list[str]:
        asked = [result for result in self.collected.series if result.exchange == exchange]
        if len(failed) == len(asked) > 1:
            return [f"{exchange}, all {len(asked)} series"]
        names = []
        for symbol in dict.fromkeys(result.symbol for result in failed):
            own = [result for result in failed if result.symbol == symbol]
            of = sum(result.symbol == symbol for result in asked)
            whole = len(own) == of > 1
            names += [f"{symbol} {exchange}"] if whole else [result.what for result in own]
        return names

    def document(self) -> list[dict[str, Any]]:
        """The series as JSON-ready data; what is unknown is null."""
        table = self.collected.frame()
        return [
            {str(key): _plain(value) for key, value in row.items()}
            for row in table.to_dict("records")
        ]


def collect_market(
    library: SeriesLibrary, settings: Settings, progress: Progress | None = None
) -> MarketNight:
    """Make the settings' symbols complete at its exchanges, and look at what is there.

    Afterwards the store's small files are joined.

    Raises:
        SettingsError: no exchanges or no symbols are named.
        SeriesStoreError: the store can't be read or written; then nothing can go on.
    """
    check_askable(settings)
    collector = DataCollector(library, settings.exchanges, settings=settings)

    def tell(result: object, done: int, total: int) -> None:
        if progress is not None:
            progress(_line(result), done, total)

    collected = collector.collect_all_data(settings.symbols, settings.hours, progress=tell)
    report = QualityReport(_look(library, collected.series))
    if collected.rows_new:
        _tidy(library)
    return MarketNight(collected, report)


def _tidy(library: SeriesLibrary) -> None:
    """Nothing is lost if it fails: the night's rows are stored, only in more files."""
    try:
        library.series.upkeep()
    except SeriesStoreError as error:
        logger.warning(
            "the night's rows are stored, but small files were not joined or old ones not "
            "deleted: %s; allow deleting there, or call upkeep() of the series store with an "
            "account that may",
            error,
        )


def check_askable(settings: Settings) -> None:
    """Refuse settings by which nothing can be collected, before anything is written.

    Raises:
        SettingsError: no exchanges or no symbols are named.
        InputError: an exchange or its address is none, or it has no history of the timeframe.
    """
    for name, example in (("exchanges", "binance,bybit,okx"), ("symbols", "BTC/USDT,ETH/USDT")):
        if not getattr(settings, name):
            raise SettingsError(
                f"no {name} are named to collect; set BRAIN_{name.upper()}, "
                f"for example to {example}"
            )
    for exchange in settings.exchanges:
        exchange_of(settings, exchange)


def _look(library: SeriesLibrary, results: Iterable[SeriesResult]) -> tuple[QualityRecord, ...]:
    """Records of the series whose exchange answered; the others' rows may be as they were."""
    answered = [result for result in results if result.rows_stored is not None]
    now = pd.Timestamp.now(tz="UTC")
    by_range: dict[tuple[pd.Timestamp, pd.Timestamp], list[tuple[str, str, str, str]]] = {}
    for one in answered:
        # Snapshots have no range: they are of the exchange's now, whatever our clock says.
        start, end = one.start or now - _DAY, one.end or now + _DAY
        symbol = library.series.present_name(one.symbol)
        names = (one.exchange, symbol, one.kind, one.timeframe)
        by_range.setdefault((start, end), []).append(names)
    return tuple(
        record
        for (start, end), series in by_range.items()
        if start < end
        for record in check_store(
            library.series, sorted(set(series)), start=start, end=end, now=now
        )
    )


def _line(result: object) -> object:
    """A failure's reason is long, the same for many series, and told at the end."""
    if isinstance(result, SeriesResult) and result.failure is not None:
        return f"{result.what}: failed"
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return None if pd.isna(value) else value
