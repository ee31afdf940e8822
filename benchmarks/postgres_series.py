"""Candles in PostgreSQL, as its manual advises to load and read them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import pandas as pd
import psycopg

__all__ = ["PostgresSeries"]

_COLUMNS = {
    "exchange": "text",
    "symbol": "text",
    "timeframe": "text",
    "time": "timestamptz",
    **dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), "double precision"),
    "available": "timestamptz",
}
_KEY = ("exchange", "symbol", "timeframe", "time")
_NAMES = ", ".join(_COLUMNS)
_CHANGES = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _KEY)
_MAKE = (
    f"CREATE TABLE candles ({', '.join(f'{n} {t}' for n, t in _COLUMNS.items())}, "
    f"collected timestamptz NOT NULL DEFAULT now(), PRIMARY KEY ({', '.join(_KEY)}))"
)
_STAGE = f"CREATE TEMPORARY TABLE stage ON COMMIT DROP AS SELECT {_NAMES} FROM candles LIMIT 0"
_COPY = f"COPY stage ({_NAMES}) FROM STDIN (FORMAT csv)"
_UPSERT = (
    f"INSERT INTO candles ({_NAMES}) SELECT {_NAMES} FROM stage "
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {_CHANGES}, collected = now()"
)
_READ = (
    f"SELECT {_NAMES}, collected FROM candles WHERE exchange = %s AND symbol = %s "
    "AND timeframe = '30m' AND time >= %s AND time < %s ORDER BY time"
)
_SIZE = "SELECT pg_total_relation_size('candles')"


class PostgresSeries:
    """A table of candles with a primary key, and one connection to it."""

    def __init__(self, uri: str) -> None:
        self._connection = psycopg.connect(uri.replace("+psycopg", ""))
        with self._connection.transaction():
            self._connection.execute(_MAKE.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def upsert(self, frame: pd.DataFrame) -> None:
        """In one transaction, by way of a temporary table."""
        lines = _as_csv(frame)
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(_STAGE.encode())
            with cursor.copy(_COPY.encode()) as copy:
                copy.write(lines)
            cursor.execute(_UPSERT.encode())

    def read(self, exchange: str, symbol: str, start: pd.Timestamp) -> pd.DataFrame:
        """One symbol's day as a frame like ours."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(_READ.encode(), (exchange, symbol, start, start + pd.Timedelta(days=1)))
            found = pd.DataFrame(cursor.fetchall(), columns=[*_COLUMNS, "collected"])
        for name in ("time", "available", "collected"):
            found[name] = pd.to_datetime(found[name], utc=True).astype("datetime64[us, UTC]")
        return found

    def megabytes(self) -> float:
        """Of the table and its key; what the write-ahead log takes beside them is left out."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            (size,) = cursor.execute(_SIZE.encode()).fetchone() or (0,)
        return float(size) / 1e6


def _as_csv(frame: pd.DataFrame) -> memoryview:
    """As the fastest writer at hand makes it: Arrow's."""
    import pyarrow as pa
    from pyarrow import csv

    table = pa.Table.from_pandas(frame[list(_COLUMNS)], preserve_index=False)
    sink = pa.BufferOutputStream()
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    csv.write_csv(table, sink, write_options=options)
    return memoryview(sink.getvalue())
