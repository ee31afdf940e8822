"""The series on which design choices are compared: the packaged sample, and bars beside it.

Recorded bars are no part of the project. They lie in the folder that ``BRAIN_RECORDED_DATA`` names,
in its folder ``candles``; files of less than 1,000 bars or of a single day are left out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from brain.errors import InputError
from brain.series.bars import Bars, check_bars
from brain.series.files import read_folder, sample_folder

__all__ = [
    "FOLDER",
    "SAMPLE",
    "UNSEEN",
    "Series",
    "later_hours",
    "recorded_series",
    "sample_series",
]

#: Names the folder of recorded bars in the environment.
FOLDER = "BRAIN_RECORDED_DATA"

#: The parts: bars on which the choices were made, and bars on which they were not.
SAMPLE, UNSEEN = "sample", "unseen"

_LATER = "BTC_USD_1h_2018-05_2021-04.csv"
_MINUTES = {
    "ETH/BTC": "freqtrade_ETH_BTC-5m.csv",
    "LTC/BTC": "freqtrade_LTC_BTC-5m.csv",
}
_DAYS = "lean_coinbase_BTCUSD_1d_2014-12_2018-08.csv"
_LEAN = ["time", "open", "high", "low", "close", "volume"]


@dataclass(frozen=True)
class Series:
    """Bars and which of them are evaluated.

    Attributes:
        part: :data:`SAMPLE` or :data:`UNSEEN`.
        bars: of the training and of the evaluation.
        first_test: share of the rows before the first that is evaluated.
    """

    part: str
    bars: Bars
    first_test: float = 0.5

    @property
    def name(self) -> str:
        """Part, symbol and timeframe."""
        return f"{self.part} {self.bars.symbol} {self.bars.timeframe}"


def sample_series() -> list[Series]:
    """The packaged sample."""
    return [Series(SAMPLE, bars) for bars in read_folder(sample_folder()).bars.values()]


def recorded_series(sample: list[Series]) -> list[Series]:
    """The recorded bars; none where the environment names no folder.

    Args:
        sample: of :func:`sample_series`. The later hours of BTC/USD overlap with it: they are
            evaluated after its last bar only, and trained on from their first.

    Raises:
        InputError: a file is missing.
        BarsError: a file is broken.
    """
    if FOLDER not in os.environ:
        return []
    candles = Path(os.environ[FOLDER]) / "candles"
    later = later_hours()
    (hours,) = (series.bars for series in sample if series.bars.timeframe == "1h")
    known = float((later.frame.index <= hours.frame.index[-1]).mean())
    minutes = [
        Series(
            UNSEEN, _bars(_csv(candles / file).rename(columns={"date": "time"}), symbol, "5m", file)
        )
        for symbol, file in _MINUTES.items()
    ]
    days = _csv(candles / _DAYS, header=None, names=_LEAN)
    days = days.assign(time=pd.to_datetime(days["time"], format="%Y%m%d %H:%M", utc=True))
    return [
        Series(UNSEEN, later, first_test=known),
        *minutes,
        Series(UNSEEN, _bars(days, "BTC/USD", "1d", _DAYS)),
    ]


def later_hours() -> Bars:
    """The recorded hours of BTC/USD from May 2018 to April 2021.

    Raises:
        InputError: the environment names no folder, or the file is missing.
        BarsError: the file is broken.
    """
    frame = _csv(Path(os.environ.get(FOLDER, "")) / "candles" / _LATER)
    return _bars(_base_volume(frame), "BTC/USD", "1h", _LATER)


def _csv(path: Path, **options: object) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(
            f"there is no file {str(path)!r}; name in {FOLDER} the folder of the recorded data, "
            "or unset it to compare on the packaged sample alone"
        )
    frame: pd.DataFrame = pd.read_csv(path, **options)  # type: ignore[call-overload]
    return frame


def _base_volume(frame: pd.DataFrame) -> pd.DataFrame:
    """Volumes in base units: in many rows the two columns are swapped, and dollars are more."""
    base = frame[["volume", "Volume USD"]].min(axis=1)
    return frame.assign(time=frame["unix"], volume=base)


def _bars(frame: pd.DataFrame, symbol: str, timeframe: str, source: str) -> Bars:
    columns = frame[_LEAN]
    return check_bars(columns, symbol=symbol, timeframe=timeframe, source=source)
