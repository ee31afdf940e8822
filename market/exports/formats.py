"""The formats of exports: where a series' file is, and what stands in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from brain.errors import InputError
from brain.naming import spot_exchange, symbol_name
from brain.series.store.schema import COLLECTED, KINDS, Kind
from market.collection.gaps import SeriesKey
from market.exports.files import File, csv_file, feather_file, parquet_file
from market.imports.freqtrade import freqtrade_name

__all__ = ["FORMATS", "Format"]

_CANDLE = ("open", "high", "low", "close", "volume")


class Format(ABC):
    """One way to lay series out in a folder."""

    @abstractmethod
    def lacks(self, key: SeriesKey) -> str:
        """What of a series has no place in the format, in words; empty: all has."""

    @abstractmethod
    def paths(self, key: SeriesKey) -> list[str]:
        """The files of a series, relative to the folder; none if it has no place."""

    @abstractmethod
    def open(
        self, folder: Path, key: SeriesKey, stack: ExitStack
    ) -> Callable[[pd.DataFrame], None]:
        """Begin the files of a series.

        Args:
            folder: of the export.
            key: of the series.
            stack: at whose end they are there.

        Returns:
            A function that adds rows, which come as the store has them.
        """


class Tables(Format):
    """A file a series with the store's columns: ``binance/candles/BTC-USDT_USDT_1h.parquet``.

    The folder of an exchange's candles is one of bars, as the setting ``bars`` takes it.

    Args:
        ending: of the files.
        file: makes one.
    """

    def __init__(self, ending: str, file: Callable[[Path, pa.Schema], File]) -> None:
        self._ending = ending
        self._file = file

    def lacks(self, key: SeriesKey) -> str:
        return ""

    def paths(self, key: SeriesKey) -> list[str]:
        exchange, symbol, kind, timeframe = key
        name = "_".join(filter(None, (symbol_name(symbol), timeframe)))
        return [f"{exchange}/{kind}/{name}{self._ending}"]

    def open(
        self, folder: Path, key: SeriesKey, stack: ExitStack
    ) -> Callable[[pd.DataFrame], None]:
        kind = KINDS[key[2]]
        schema = pa.schema([(name, kind.arrow_type(name)) for name in _columns(kind)])
        (path,) = self.paths(key)
        writer = stack.enter_context(self._file(folder / path, schema))

        def write(rows: pd.DataFrame) -> None:
            writer.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))

        return write


def _columns(kind: Kind) -> list[str]:
    return [name for name in kind.columns if name != COLLECTED]


class Freqtrade(Format):
    """freqtrade's data directory, in Feather.

    Funding rates are candles whose ``open`` is the rate, which freqtrade reads in every version;
    mark prices are candles at the settlements.
    """

    _schema = pa.schema(
        [("date", pa.timestamp("ns", tz="UTC")), *((name, pa.float64()) for name in _CANDLE)]
    )

    def lacks(self, key: SeriesKey) -> str:
        match key[2]:
            case "candles":
                return "its quote volume"
            case "funding":
                return "its intervals, which follow from its times"
            case _:
                return "it"

    def paths(self, key: SeriesKey) -> list[str]:
        exchange, symbol, kind, timeframe = key
        name = freqtrade_name(symbol)
        if kind == "candles" and (spot := spot_exchange(exchange)):
            return [f"{spot}/{name}-{timeframe}.feather"]
        endings = {
            "candles": [f"{timeframe}-futures"],
            "funding": ["1h-funding_rate", "1h-mark"],
        }.get(kind, [])
        return [f"{exchange}/futures/{name}-{ending}.feather" for ending in endings]

    def open(
        self, folder: Path, key: SeriesKey, stack: ExitStack
    ) -> Callable[[pd.DataFrame], None]:
        writers = [
            stack.enter_context(feather_file(folder / path, self._schema))
            for path in self.paths(key)
        ]
        funding = key[2] == "funding"

        def write(rows: pd.DataFrame) -> None:
            tables = self._funding(rows) if funding else [rows]
            for writer, table in zip(writers, tables, strict=True):
                columns = {"date": table["time"], **{name: table[name] for name in _CANDLE}}
                frame = pd.DataFrame(columns)
                writer.write_table(pa.Table.from_pandas(frame, self._schema, preserve_index=False))

        return write

    def _funding(self, rows: pd.DataFrame) -> list[pd.DataFrame]:
        rates = pd.DataFrame({"time": rows["time"], **dict.fromkeys(_CANDLE, 0.0)})
        marks = rows[np.isfinite(rows["mark_price"])].reset_index(drop=True)
        prices = dict.fromkeys(_CANDLE[:4], marks["mark_price"])
        mark = pd.DataFrame({"time": marks["time"], **prices, "volume": 0.0})
        return [rates.assign(open=rows["rate"]), mark]


#: The formats by name.
FORMATS: Mapping[str, Format] = {
    "parquet": Tables(".parquet", parquet_file),
    "csv": Tables(".csv", csv_file),
    "freqtrade": Freqtrade(),
}


def parse_format(name: str) -> Format:
    """The format of a name.

    Raises:
        InputError: there is none.
    """
    if name not in FORMATS:
        raise InputError(f"there is no format {name!r}; known: {', '.join(FORMATS)}")
    return FORMATS[name]
