"""Liquidations by bar, against a slow twin; what was not listened to is never 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from brain.series.suspects import Suspect
from market.liquidations.bars import exchange_bars, joint_bars

START = pd.Timestamp("2026-11-20 10:00", tz="UTC")
END = START + pd.Timedelta(minutes=10)


def minutes(number: float) -> pd.Timestamp:
    return (START + pd.Timedelta(minutes=number)).round("ms")  # as exchanges have it


def stretches(*spans: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "start": pd.DatetimeIndex([minutes(start) for start, _ in spans]),
            "end": pd.DatetimeIndex([minutes(end) for _, end in spans]),
        }
    )


def liquidations(*rows: tuple[float, str, float], coverage: str = "all") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": pd.DatetimeIndex([minutes(at) for at, _, _ in rows], tz="UTC"),
            "side": [side for _, side, _ in rows],
            "usd": np.array([usd for _, _, usd in rows], dtype=float),
            "coverage": coverage,
        }
    )


def bars(rows: pd.DataFrame, listening: pd.DataFrame, *suspects: Suspect) -> pd.DataFrame:
    return exchange_bars(rows, listening, suspects, START, END, "1m").set_index("time")


def test_nothing_came_is_0_only_where_it_was_listened_to_from_end_to_end() -> None:
    table = bars(liquidations(), stretches((-5, 3), (3, 4.5), (4.6, 7.98)))
    known = table["long_usd"].notna().to_numpy()
    assert known.tolist() == [True] * 4 + [False] + [True] * 2 + [False] * 3
    assert (table["liquidations"][known] == 0).all()
    assert (table["largest_usd"][known] == 0).all()
    assert table["listened"].to_numpy() == pytest.approx(
        [1, 1, 1, 1, 0.9, 1, 1, 0.98, 0, 0], abs=1e-9
    )
    assert not table["lower_bound"][known].any()


def test_what_came_in_a_bar_with_a_seam_is_a_lower_bound() -> None:
    rows = liquidations((1.1, "long", 50.0), (1.2, "short", 20.0), (1.3, "long", 30.0))
    table = bars(rows, stretches((0, 1.5), (1.54, 10)))
    row = table.loc[minutes(1)]
    assert (row["long_usd"], row["short_usd"], row["liquidations"]) == (80, 20, 3)
    assert row["largest_usd"] == 50
    assert row["lower_bound"]
    assert not table["lower_bound"].drop(minutes(1)).any()
    too_little = bars(rows, stretches((0, 1.5), (1.56, 10)))
    assert np.isnan(too_little["long_usd"].loc[minutes(1)])


def test_what_an_exchange_samples_is_a_lower_bound_where_something_came() -> None:
    table = bars(liquidations((1.1, "long", 5.0), coverage="sampled"), stretches((0, 10)))
    assert table["lower_bound"].to_numpy().tolist() == [False, True] + [False] * 8


def test_what_is_suspect_is_unknown() -> None:
    suspect = Suspect("okx", "BTC/USDT:USDT", minutes(2.5), minutes(4), "while others cascade")
    table = bars(liquidations(), stretches((0, 10)), suspect)
    assert table["long_usd"].notna().tolist() == [True, True, False, False] + [True] * 6
    assert table["listened"].iloc[2] == pytest.approx(0.5)


def test_of_several_exchanges_a_bar_is_unknown_where_one_is() -> None:
    first = exchange_bars(liquidations((1.1, "long", 5.0)), stretches((0, 3)), (), START, END, "1m")
    second = exchange_bars(
        liquidations((1.1, "short", 7.0), (2.5, "short", 9.0)),
        stretches((1, 9)),
        (),
        START,
        END,
        "1m",
    )
    table = joint_bars([first, second])
    assert table["long_usd"].notna().tolist() == [False, True, True] + [False] * 7
    row = table.iloc[1]
    assert (row["long_usd"], row["short_usd"], row["largest_usd"]) == (5, 7, 7)
    assert table["listened"].tolist() == pytest.approx([0, 1, 1] + [0] * 7)


def test_a_stretch_without_a_whole_bar_is_refused() -> None:
    with pytest.raises(InputError, match="no bar of 1h lies between"):
        exchange_bars(liquidations(), stretches((0, 1)), (), minutes(1), minutes(50), "1h")


spans = st.lists(st.tuples(st.integers(-60, 660), st.integers(1, 90)), max_size=8)
events = st.lists(
    st.tuples(st.integers(-60, 660), st.booleans(), st.integers(1, 1000)), max_size=30
)


@given(spans, events, spans)
def test_bars_are_those_of_a_twin_that_looks_at_every_second(
    listened: list[tuple[int, int]],
    happened: list[tuple[int, bool, int]],
    doubted: list[tuple[int, int]],
) -> None:
    apart = [(start, start + length) for start, length in listened]  # of several streams
    suspects = [Suspect("okx", "s", minutes(a / 60), minutes((a + n) / 60), "") for a, n in doubted]
    rows = liquidations(
        *((at / 60, "long" if long else "short", float(usd)) for at, long, usd in happened)
    )
    table = bars(rows, stretches(*((a / 60, b / 60) for a, b in apart)), *suspects)
    heard = {second for a, b in apart for second in range(a, b)}
    heard -= {second for a, n in doubted for second in range(a, a + n)}
    for bar in range(10):
        inside = [one for one in happened if bar * 60 <= one[0] < bar * 60 + 60]
        share = len(heard & set(range(bar * 60, bar * 60 + 60))) / 60
        row = table.iloc[bar]
        assert row["listened"] == pytest.approx(share)
        if share == 1 or (share >= 0.95 and inside):
            assert row["long_usd"] == sum(usd for _, long, usd in inside if long)
            assert row["short_usd"] == sum(usd for _, long, usd in inside if not long)
            assert row["liquidations"] == len(inside)
            assert row["largest_usd"] == max((usd for *_, usd in inside), default=0)
            assert row["lower_bound"] == (share < 1)
        else:
            assert row[["long_usd", "short_usd", "liquidations", "largest_usd"]].isna().all()
