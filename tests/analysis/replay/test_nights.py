"""Replayed nights: alone, killed, over bars that are poisoned after the moment, and followed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.night import Night
from analysis.nightly import NightlyFeatureAnalysis
from analysis.replay import folder as replay_folder
from analysis.replay.folder import Clock, ReplayFolder
from brain.errors import InputError, LeaseError
from brain.naming import REGIMES, Tag
from brain.series.bars import Bars, check_bars
from brain.series.store.store import SeriesStore
from engine.data.market_series import MarketSeries
from registry.library import BrainLibrary
from tests.analysis.replay.nights import (
    EXPERIMENT,
    MOMENTS,
    SYMBOLS,
    left,
    market,
    replay,
    settings,
    whole,
)
from tests.jobs import shorten

STATE = 3  # nights that are complete where one is replayed alone


@pytest.fixture(scope="module", autouse=True)
def _brief(_migrations: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        yield


class Alone:
    """A replay that was left alone, and its folder as it was before the last nights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "alone"
        self.early, _ = replay(self.folder, STATE)
        self.after_state = left(self.early)
        self.state = folder / "state"
        shutil.copytree(self.folder, self.state)
        replay(self.folder, STATE + 1)
        self.library, self.documents = replay(self.folder, len(MOMENTS))
        self.left = left(self.library)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    return Alone(tmp_path_factory.mktemp("replays"))


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, other[name], check_exact=True)
        else:
            assert value == other[name], name


def until(state: dict[str, Any], moment: pd.Timestamp) -> dict[str, Any]:
    """The rows of tables that were stored by a moment."""
    tables = {k: v for k, v in state.items() if isinstance(v, pd.DataFrame)}
    return {k: v[v["collected"] <= moment].reset_index(drop=True) for k, v in tables.items()}


def test_a_replay_trains_at_the_age_and_shadows_decides_and_names_every_night(
    alone: Alone,
) -> None:
    made = {version[1] for version in alone.left["versions"].values()}
    assert sorted(made) == [MOMENTS[k].isoformat() for k in (0, 2, 4)]
    assert len(alone.left["versions"]) == 3 * 2 * len(SYMBOLS)
    evidence = alone.left["evidence"]
    live = evidence[evidence["source"] == "live"]
    assert sorted(live["time"].unique()) == [m.as_unit("us") for m in MOMENTS[:-1]]
    # A night is shadowed by the version that the nights before it had named.
    versions = live.groupby("time")["version"].agg(lambda v: max(int(n.split("/")[1]) for n in v))
    assert versions.tolist() == [2, 2, 4, 4]
    steps = alone.left["contests"].groupby("step").size().to_dict()
    assert steps == {"closed": len(MOMENTS), "decided": len(MOMENTS) - 1}
    for document in alone.documents:
        assert document["failures"] == {}
        assert set(document["symbols"]) == set(SYMBOLS)
        for symbol in document["symbols"].values():
            assert set(symbol["champions"]) == set(map(str, REGIMES))
    assert all(
        record["decided"] == MOMENTS[-1].isoformat() for record in alone.left["champions"].values()
    )


def test_what_is_stored_counts_as_stored_at_the_moment(alone: Alone) -> None:
    for kind in ("shadows", "evidence", "contests"):
        stored = alone.left[kind]["collected"]
        assert set(stored) <= {moment.as_unit("us") for moment in MOMENTS}


def test_explanations_and_drift_are_made_where_versions_are_fitted(alone: Alone) -> None:
    client = alone.library.client
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.role = 'analysis'")
    days = sorted(run.data.tags[Tag.DATE] for run in runs)
    fitted = [f"{MOMENTS[k]:%F}" for k in (0, 2, 4)]
    assert days == sorted(fitted * len(SYMBOLS))


def test_the_walk_forward_is_made_once_and_goes_on_with_the_shadows(alone: Alone) -> None:
    library = alone.library
    shadows = alone.left["shadows"]
    for key, lines in library.lines().items():
        for line in lines:
            newest, _, oldest = library.line_versions(key, line.id)
            tables = []
            for version in (oldest, newest):
                folder = alone.folder / "read"
                file = library.fetch_run_file(version, "walk_forward.parquet", folder)
                tables.append(pd.read_parquet(file))
                shutil.rmtree(folder)
            first, last = tables
            there = last.loc[first.index]
            for name in ("prediction", "earlier", "position", "cost"):
                assert there[name].equals(first[name])
            own = shadows[(shadows["line"] == line.id) & (shadows["symbol"] == key.symbol)]
            own = own.set_index("time")
            later = last.loc[first.index[-1] + pd.Timedelta(1) :]
            assert len(later) == len(own) == 24 * 4
            for name in ("prediction", "position", "cost"):
                assert np.array_equal(later[name].to_numpy(), own[name].to_numpy(), equal_nan=True)


# --- a night alone ------------------------------------------------------------------------------


def cut(symbol: str, moment: pd.Timestamp) -> Bars:
    """Bars as a file of that moment has them."""
    frame = whole(symbol).frame
    return check_bars(
        frame[frame.index < moment], symbol=symbol, timeframe="1h", columns=["mood"], now=moment
    )


def cut_market(moment: pd.Timestamp) -> Callable[[str], MarketSeries]:
    def reader(symbol: str) -> MarketSeries:
        series = market(symbol)
        funding, open_interest = (
            frame[frame["available"] <= moment] for frame in (series.funding, series.open_interest)
        )
        return MarketSeries(symbol, funding, open_interest)

    return reader


def test_a_night_of_a_replay_is_the_same_night_alone_from_the_state_before_it(
    alone: Alone,
) -> None:
    moment = MOMENTS[STATE]
    place = ReplayFolder(alone.state)
    library, savepoint = place.open(EXPERIMENT, Clock(moment))
    assert savepoint.nights == STATE
    assert_same(left(library), alone.after_state)
    with library.start(
        EXPERIMENT, "alone", tags={Tag.ROLE: "night"}, note="", moment=moment.to_pydatetime()
    ) as run:
        night = Night(
            library, settings(), {symbol: cut(symbol, moment) for symbol in SYMBOLS}, run,
            moment=moment.to_pydatetime(), market=cut_market(moment),
        )  # fmt: skip
        parts = list(night.symbols(lambda *_: None, lambda *_: None))
        night.promotion.close()
    assert [failure for part in parts for failure in part.failures] == []
    mine, replayed = left(library), until(alone.left, moment)
    for kind, table in replayed.items():
        pd.testing.assert_frame_equal(mine[kind], table, check_exact=True)
    document = alone.documents[STATE]
    for part in parts:
        symbol = document["symbols"][part.symbol]
        assert {line: v.number for line, v in part.serving.items()} == symbol["lines"]
        for standing in part.champions:
            champion = symbol["champions"][str(standing.champion.regime)]
            record = standing.champion.record
            assert (champion["version"], champion["line"], champion["size"]) == (
                standing.champion.version, record.line, record.size,
            )  # fmt: skip


def test_poisoned_bars_and_funding_after_the_moment_change_nothing(
    alone: Alone, tmp_path: Path
) -> None:
    moment = MOMENTS[STATE - 1]

    def poisoned(symbol: str) -> Bars:
        bars = whole(symbol)
        frame = bars.frame.copy()
        after = np.asarray(bars.close_time > moment)
        frame.loc[after, ["open", "high", "low", "close"]] *= 1000.0
        frame.loc[after, ["volume", "mood"]] = 1e30
        return replace(bars, frame=frame)

    def poisoned_market(symbol: str) -> MarketSeries:
        series = market(symbol)
        funding, open_interest = series.funding.copy(), series.open_interest.copy()
        funding.loc[funding["available"] > moment, "rate"] = 1e6
        open_interest.loc[open_interest["available"] > moment, "base"] = 1e30
        return MarketSeries(symbol, funding, open_interest)

    bars = {symbol: poisoned(symbol) for symbol in SYMBOLS}
    library, documents = replay(tmp_path / "poisoned", STATE, bars=bars, reader=poisoned_market)
    assert_same(left(library), alone.after_state)
    assert documents == alone.documents[:STATE]


# --- killed -------------------------------------------------------------------------------------


class Killed(BaseException):
    """In the place of a signal."""


def kill_at(
    patch: pytest.MonkeyPatch, owner: Any, name: str, call: int, *, after: bool = False
) -> None:
    """Let the process die in a call of a function, before or after its work."""
    function, calls = getattr(owner, name), iter(range(1, 1_000_000))

    def dying(*arguments: Any, **by: Any) -> Any:
        last = next(calls) == call
        if last and not after:
            raise Killed
        result = function(*arguments, **by)
        if last:
            raise Killed
        return result

    patch.setattr(owner, name, dying)


#: In the first night, where a version is registered and where a recipe is stored; in later ones
#: between shadows and their evidence, among the champions, before the closing; while a savepoint is
#: copied, and when it is there but what it replaces is too.
KILLS: list[tuple[Any, str, int, bool]] = [
    (BrainLibrary, "add_version", 2, False),
    (SeriesStore, "append", 2, True),
    (BrainLibrary, "set_champion", 3, True),
    (replay_folder, "_copy_database", 5, False),
    (shutil, "rmtree", 9, False),
]


def test_a_replay_killed_five_times_and_resumed_equals_one_left_alone(
    alone: Alone, tmp_path: Path
) -> None:
    killed = 0
    for owner, name, call, after in KILLS:
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, owner, name, call, after=after)
            try:
                replay(tmp_path / "killed", len(MOMENTS))
            except Killed:
                killed += 1
    assert killed == len(KILLS)
    library, documents = replay(tmp_path / "killed", len(MOMENTS))
    assert_same(left(library), alone.left)
    assert documents == alone.documents


# --- what is refused ----------------------------------------------------------------------------


def test_other_bars_of_nights_that_are_complete_are_refused(alone: Alone) -> None:
    def other(symbol: str) -> Bars:
        bars = whole(symbol)
        frame = bars.frame.copy()
        frame["close"] = frame["close"].where(np.arange(len(frame)) != 10, frame["open"])
        return replace(bars, frame=frame)

    bars = {SYMBOLS[0]: whole(SYMBOLS[0]), SYMBOLS[1]: other(SYMBOLS[1])}
    with pytest.raises(InputError, match=r"the bars of BBB/USD until .* are other ones"):
        replay(alone.folder, len(MOMENTS), bars=bars)
    assert_same(left(alone.library), alone.left)


def test_two_processes_are_not_at_work_on_one_replay(alone: Alone) -> None:
    with (
        ReplayFolder(alone.folder).held(),
        pytest.raises(LeaseError, match="another process is at work on the replay"),
    ):
        replay(alone.folder, len(MOMENTS))


def test_other_options_are_refused_by_name(tmp_path: Path) -> None:
    place = ReplayFolder(tmp_path)
    place.check_options({"since": "2020-01-01", "trials": 8})
    place.write_options({"since": "2020-01-01", "trials": 8})
    place.check_options({"since": "2020-01-01", "trials": 8})
    with pytest.raises(InputError, match=r"other options: trials=9 and was 8; go on with those"):
        place.check_options({"since": "2020-01-01", "trials": 9})


def test_nothing_is_analysed_where_nothing_is_fitted(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed: list[Any] = []
    function = NightlyFeatureAnalysis.analyse_models

    def analyse(self: Any, symbol: str, models: Any, *more: Any) -> Any:
        analysed.append(list(models))
        return function(self, symbol, models, *more)

    monkeypatch.setattr(NightlyFeatureAnalysis, "analyse_models", analyse)
    replay(alone.state, STATE + 1)
    assert analysed == [[], []]
