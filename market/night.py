"""The market's part of a night: collection of series and sentiment, and the quality of all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from brain.errors import SeriesStoreError
from brain.series.source import SeriesLibrary
from brain.settings import Settings
from brain.work import Failure, Progress
from market.collection.collector import DataCollector
from market.collection.kinds import kinds_of
from market.collection.results import CollectionResult, SeriesResult
from market.configuration import check_collection, collected_exchanges
from market.exchanges import EXCHANGES
from market.night_quality import night_records
from market.quality.report import QualityReport

__all__ = ["MarketNight", "collect_market"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MarketNight:
    """A collection and its quality.

    Attributes:
        collection: a result for each series.
        report: on the series whose exchange answered, on posts, and on what streams have stored.
    """

    collection: CollectionResult
    report: QualityReport

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures; series of one exchange or symbol with the same failure are one."""
        by_error: dict[str, dict[str, list[SeriesResult]]] = {}
        for result in self.collection.failures:
            by_exchange = by_error.setdefault(str(result.failure), {})
            by_exchange.setdefault(result.exchange, []).append(result)
        return tuple(
            Failure(subject, error)
            for by_exchange in by_error.values()
            for exchange, results in by_exchange.items()
            if (error := results[0].failure) is not None
            for subject in self._subjects(exchange, results)
        )

    def metrics(self) -> dict[str, float]:
        """The totals by metric key, for the line over the nights; without those unknown."""
        metrics = {
            "market/rows_new": float(self.collection.rows_new),
            "market/failed": float(len(self.collection.failures)),
        }
        missing = [r.missing for r in self.collection.series if r.missing is not None]
        return metrics | ({"market/missing": float(sum(missing))} if missing else {})

    def _subjects(self, exchange: str, failures: list[SeriesResult]) -> list[str]:
        """The failed series of an exchange in a few words: whole symbols, or all of them."""
        series = [result for result in self.collection.series if result.exchange == exchange]
        if len(failures) == len(series) > 1:
            return [f"{exchange}, all {len(series)} series"]
        subjects = []
        for symbol in dict.fromkeys(result.symbol for result in failures):
            results = [result for result in failures if result.symbol == symbol]
            number = sum(result.symbol == symbol for result in series)
            whole = len(results) == number > 1
            subjects += [f"{symbol} {exchange}"] if whole else [result.what for result in results]
        return subjects

    def document(self) -> list[dict[str, Any]]:
        """A row a series, ready for JSON; what is unknown is null."""
        table = self.collection.frame()
        return [
            {str(key): _json_value(value) for key, value in row.items()}
            for row in table.to_dict("records")
        ]


def collect_market(
    library: SeriesLibrary,
    settings: Settings,
    progress: Progress | None = None,
    *,
    kinds: Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
) -> MarketNight:
    """Collect the series of the settings' symbols and exchanges, and check their quality.

    Afterwards the store's small files are joined.

    Args:
        library: holds the series store.
        settings: the exchanges, publishers, symbols and hours.
        progress: called after each series.
        kinds: see :func:`market.collection.kinds.kinds_of`.
        symbols: instead of the settings'.

    Raises:
        SettingsError: no exchanges or no symbols are named.
        InputError: an exchange, a publisher or an address is none, or an exchange has no history of
            the timeframe.
        SeriesStoreError: the store can't be read or written.
    """
    symbols = settings.symbols if symbols is None else symbols
    check_collection(settings, kinds=kinds, symbols=symbols)
    # Where sentiment alone is collected no exchange is asked.
    collector = DataCollector(
        library, collected_exchanges(settings) or EXCHANGES, settings=settings
    )

    def short_progress(result: object, done: int, total: int) -> None:
        if progress is not None:
            progress(_line(result), done, total)

    collection = collector.collect_all_data(
        symbols,
        settings.hours,
        renew=settings.renew,
        kinds=kinds_of(settings, kinds),
        progress=short_progress,
    )
    report = QualityReport(night_records(library.series, settings, collection.series))
    if collection.rows_new:
        _upkeep(library)
    return MarketNight(collection, report)


def _upkeep(library: SeriesLibrary) -> None:
    """Join the store's small files; a failure is logged, for the rows are stored all the same."""
    try:
        library.series.upkeep()
    except SeriesStoreError as error:
        logger.warning(
            "the night's rows are stored, but small files were not joined or old ones not "
            "deleted: %s; allow deleting there, or call upkeep() of the series store with an "
            "account that may",
            error,
        )


def _line(result: object) -> object:
    """The line of a result, without a failure's reason: it is long, and reported at the end."""
    if isinstance(result, SeriesResult) and result.failure is not None:
        return f"{result.what}: failed"
    return result


def _json_value(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return None if pd.isna(value) else value
