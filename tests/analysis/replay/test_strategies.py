"""What strategies hold and earn: as an executor on the replay's own library, night by night."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.replay.strategies import (
    BEST,
    CHAMPIONS,
    FLAT,
    FULL,
    LONG,
    PRIOR_TABLE,
    REVERSAL,
    Held,
    hold,
)  # fmt: skip
from brain.naming import Family, Regime
from brain.records import Champion
from brain.series.past import PastBars
from brain.work import Tally
from engine.data.market_series import no_market
from engine.evaluation.nights import days_of
from engine.evaluation.trading import trading_of
from engine.night.symbols import SymbolData, read_symbol
from registry.library import BrainLibrary
from serving import Hamilton, Limits
from serving.replay import journals
from tests.analysis.replay.nights import MOMENTS, replay, settings
from tests.engine.simulate import simulate
from tests.jobs import shorten
from tests.serving.desk import bars_of

SYMBOL = "AAA/USD"
BARS = simulate(24 * 52, strength=0.8, seed=5, symbol=SYMBOL).bars
PLAIN = {
    "columns": "", "exchanges": "", "product": "spot", "promotion": "provisional", "horizon": 2
}  # fmt: skip
#: By night and regime: not judged, abstaining, a full position.
SIZES = (None, 0.0, 1.0)


def size(night: int, regime: str) -> float | None:
    return SIZES[(night + list(Regime).index(Regime(regime))) % len(SIZES)]


class Sized:
    """The champions of a night of the replay, with sizes."""

    def __init__(self, library: BrainLibrary) -> None:
        self.library, self.night = library, 0

    def champions(self, *query: Any, **by: Any) -> list[Champion]:
        return [
            replace(c, record=replace(c.record, size=size(self.night, c.regime)))
            for c in self.library.champions(*query, **by)
        ]

    def files(self, model_id: str) -> dict[str, bytes]:
        return self.library.files(model_id)


class Followed:
    """A replay with an executor that follows it, and what that earned by bar's close."""

    def __init__(self, folder: Path) -> None:
        source: Sized | None = None
        hamilton: Hamilton | None = None
        bars = {bar.close_time: bar for bar in bars_of(BARS)}
        self.documents: list[dict[str, Any]] = []
        for night, moment in enumerate(MOMENTS):
            self.library, self.documents = replay(
                folder / "replay", night + 1, bars={SYMBOL: BARS}, reader=no_market, **PLAIN
            )
            if moment == MOMENTS[-1]:
                break
            source = source or Sized(self.library)
            source.night = night
            if hamilton is None:
                hamilton = Hamilton(
                    source, [SYMBOL], limits=replace(Limits.off(), by_size=True),
                    journal=folder / "journal",
                )  # fmt: skip
            else:
                hamilton.reload(SYMBOL)
            for hour in range(1, 25):
                bar = bars[(moment + pd.Timedelta(hours=hour)).value]
                hamilton.bar(SYMBOL, *bar[1:], bar.close_time)
        assert hamilton is not None
        hamilton.close()
        (journal,) = journals(folder / "journal")
        entries = [entry for name, entry in journal.entries(journal.files) if name == "bar"]
        self.net = {entry["bar"][0]: entry["profit"] for entry in entries}
        self.position = {entry["bar"][0]: entry["decision"]["position"] for entry in entries}


@pytest.fixture(scope="module")
def followed(_migrations: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        yield Followed(tmp_path_factory.mktemp("followed"))


@pytest.fixture(scope="module")
def data() -> SymbolData:
    past = PastBars({SYMBOL: BARS}, ()).at(MOMENTS[-1], [SYMBOL])
    read = read_symbol(settings(**PLAIN), SYMBOL, past, no_market, Tally(None, 0))
    assert isinstance(read, SymbolData)
    return read


def held(followed: Followed, data: SymbolData, documents: Sequence[dict[str, Any]]) -> Held:
    lines = {line.id: line for line in followed.library.lines()[data.dataset.key]}
    return hold(followed.library, data, documents, lines, sorted(lines))


def sized(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The nights' documents with the sizes that the executor had."""
    changed = []
    for night, document in enumerate(documents):
        symbol = document["symbols"][SYMBOL]
        champions = {r: c | {"size": size(night, r)} for r, c in symbol["champions"].items()}
        changed.append(document | {"symbols": {SYMBOL: symbol | {"champions": champions}}})
    return changed


def column(result: Held, name: str, of: str = "net") -> Any:
    return getattr(result, of)[:, result.strategies.index(name)]


def test_following_the_champions_earns_what_an_executor_earned(
    followed: Followed, data: SymbolData
) -> None:
    result = held(followed, data, sized(followed.documents))
    by_day = pd.Series(followed.net).groupby(lambda close: days_of(np.array([close]))[0]).sum()
    assert result.days.tolist() == by_day.index.tolist()
    np.testing.assert_allclose(column(result, CHAMPIONS), by_day.to_numpy(), rtol=0, atol=1e-12)
    assert set(followed.position.values()) == {-1.0, 0.0, 1.0}
    assert np.abs(by_day).min() > 1e-4
    assert not np.allclose(column(result, CHAMPIONS), column(result, FULL))


def test_a_smaller_size_earns_its_share_and_none_earns_nothing(
    followed: Followed, data: SymbolData
) -> None:
    def all_at(value: float | None) -> Held:
        documents = []
        for document in followed.documents:
            symbol = document["symbols"][SYMBOL]
            champions = {r: c | {"size": value} for r, c in symbol["champions"].items()}
            documents.append(document | {"symbols": {SYMBOL: symbol | {"champions": champions}}})
        return held(followed, data, documents)

    whole, half, nothing = all_at(None), all_at(0.5), all_at(0.0)
    for name in ("net", "turnover"):
        full = column(whole, CHAMPIONS, name)
        assert np.abs(full).max() > 0.0
        np.testing.assert_array_equal(full, column(whole, FULL, name))
        np.testing.assert_allclose(column(half, CHAMPIONS, name), 0.5 * full, rtol=1e-12)
        assert not column(nothing, CHAMPIONS, name).any()
        np.testing.assert_array_equal(column(nothing, FULL, name), full)
    assert not column(nothing, CHAMPIONS, "invested").any()


def test_lines_and_the_prior_table_are_traded_by_the_versions_that_served_them(
    followed: Followed, data: SymbolData
) -> None:
    result = held(followed, data, followed.documents)
    lines = {line.family: line.id for line in followed.library.lines()[data.dataset.key]}
    store = followed.library.series.read("shadows")
    first = int(np.searchsorted(data.dataset.close_ns, MOMENTS[0].value, "right"))
    part = data.dataset.tail(first)
    decided = {}
    for family, name in lines.items():
        shadow = store[store["line"] == name].set_index("time")
        assert len(shadow) == len(part)
        cost = shadow["cost"].to_numpy()
        position = decided[family] = shadow["position"].to_numpy()
        # The shadows were decided night by night; these are by other code, at once.
        net = trading_of(part, cost).profit(position).net
        days = days_of(part.close_ns)
        by_day = [net[days == day].sum() for day in result.days]
        np.testing.assert_allclose(column(result, name), by_day, rtol=0, atol=1e-12)
    assert not np.array_equal(decided[Family.LIGHTGBM], decided[Family.XGBOOST])
    # Low is XGBoost's, the others are LightGBM's, as far as slots don't carry decisions over.
    mine = np.where(part.regimes == 0, decided[Family.XGBOOST], decided[Family.LIGHTGBM])
    for code, family in ((0, Family.XGBOOST), (1, Family.LIGHTGBM)):
        assert (mine[part.regimes == code] == decided[family][part.regimes == code]).all()
    assert np.abs(column(result, PRIOR_TABLE)).max() > 0.0


def test_the_best_sharpe_ratio_is_the_newest_versions_whatever_its_error(
    followed: Followed, data: SymbolData
) -> None:
    library = followed.library
    result = held(followed, data, followed.documents)
    best = [night["symbols"][SYMBOL]["best"] for night in followed.documents]
    for night, moment in zip(best, MOMENTS, strict=True):
        sharpe = {}
        for line in library.lines()[data.dataset.key]:
            made = [v for v in library.line_versions(data.dataset.key, line.id)
                    if pd.Timestamp(v.made) <= moment]  # fmt: skip
            sharpe[made[0].number] = library.evidence(made[0]).net_sharpe.value
        known = {number: value for number, value in sharpe.items() if np.isfinite(value)}
        assert night["version"] == max(known, key=lambda number: known[number])
    if len({entry["line"] for entry in best}) == 1:
        np.testing.assert_array_equal(column(result, BEST), column(result, best[0]["line"]))


def test_long_reversal_and_flat_are_the_kernels_own(followed: Followed, data: SymbolData) -> None:
    result = held(followed, data, followed.documents)
    assert not column(result, FLAT).any()
    close = BARS.frame["close"].to_numpy()
    first = int(np.searchsorted(data.dataset.close_ns, MOMENTS[0].value, "right"))
    turned = -np.sign(np.diff(close))[first - 1 : len(data.dataset) - 1]
    part = data.dataset.tail(first)
    lines = sorted(followed.documents[0]["symbols"][SYMBOL]["lines"])
    cost = followed.library.series.read("shadows")
    cost = cost[cost["line"] == lines[0]]["cost"].to_numpy()
    for name, position in ((LONG, np.ones(len(part))), (REVERSAL, turned)):
        profit = trading_of(part, cost).profit(position)
        days = days_of(part.close_ns)
        for kind, values in (("net", profit.net), ("turnover", profit.turnover)):
            by_day = [values[days == day].sum() for day in result.days]
            np.testing.assert_allclose(column(result, name, kind), by_day, rtol=0, atol=1e-12)
