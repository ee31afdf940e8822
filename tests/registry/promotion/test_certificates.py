"""Certificates: every number again, from the rows of the evidence table and a calculator."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from brain.naming import PRIOR, REGIMES
from brain.series.store.store import SeriesStore
from registry.promotion.certificates import Certificates, read_appointments
from registry.promotion.closings import day_start
from registry.promotion.course import DESIGN_CHOICES, decide, prior_line
from registry.promotion.history import read_history
from tests.registry.promotion.nights import (
    FIRST,
    LIGHTGBM,
    LINES,
    LSTM,
    NAME,
    SYMBOLS,
    XGBOOST,
    close,
    evidence_rows,
    live,
)

NORMAL = NormalDist()
BACK, LIVE = 300, 40
GROUPS = ("all", *map(str, REGIMES), *SYMBOLS)
SHARES = (0.5, *[0.3 / 4] * 4, *[0.2 / 2] * 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SeriesStore:
    """A backtest of 300 nights, then 40 live ones, none of which has a winner."""
    store = SeriesStore(tmp_path_factory.mktemp("certificates") / "series")
    back = live(BACK, seed=1)
    store.append("evidence", evidence_rows(FIRST - BACK + 1, back, source="backtest", tried=3.0))
    close(store, FIRST)
    decide(store, NAME)
    store.append("evidence", evidence_rows(FIRST + 1, live(LIVE, seed=2)))
    close(store, FIRST + LIVE)
    return store


def certificates(store: SeriesStore) -> Certificates:
    course = decide(store, NAME)
    assert course is not None
    history = read_history(store, "1h", lines=course.contest.lines)
    return Certificates(course, history.at(course.closings), read_appointments(store, course))


def of(store: SeriesStore, symbol: str, line: str) -> dict[str, Any]:
    document = certificates(store).of(symbol, line)
    assert document is not None
    json.dumps(document, allow_nan=False)
    return document


Night = dict[tuple[str, str, str], float]


def nights(store: SeriesStore) -> Iterator[tuple[bool, Night]]:
    """Whether it is live, and its profits by symbol, regime and line; oldest first."""
    for _, rows in store.read("evidence").groupby("time"):
        known = rows[rows["profit"].notna()]
        cells = zip(known["symbol"], known["regime"], known["line"], strict=True)
        profits = dict(zip(cells, known["profit"].tolist(), strict=True))
        yield rows["source"].iloc[0] == "live", profits


def champion(regime: str) -> str:
    return {str(r): line.id for r in REGIMES for line in LINES if line.family == PRIOR[r]}[regime]


def means(night: Night, line: str) -> dict[str, float]:
    """The mean difference of each group that is known."""
    cells = {
        (s, str(r)): night[s, str(r), line] - night[s, str(r), champion(str(r))]
        for s in SYMBOLS
        for r in REGIMES
        if champion(str(r)) != line
        and (s, str(r), line) in night
        and (s, str(r), champion(str(r))) in night
    }
    symbols = {s: [v for (of, _), v in cells.items() if of == s] for s in SYMBOLS}
    values = {s: sum(v) for s, v in symbols.items() if v}
    regimes = {str(r): [v for (_, of), v in cells.items() if of == str(r)] for r in REGIMES}
    values |= {r: sum(v) / len(v) for r, v in regimes.items() if v}
    known = [values[s] for s in SYMBOLS if s in values]
    return values | ({"all": sum(known) / len(known)} if known else {})


def by_hand(store: SeriesStore, line: str, group: str) -> dict[str, Any]:
    """The figures of a group, as docs/promotion.md has the formulas."""
    squares, count = 0.0, 0
    sums = {True: [0.0, 0.0, 0], False: [0.0, 0.0, 0]}
    for is_live, night in nights(store):
        y = means(night, line).get(group)
        if y is None:
            continue
        part = sums[is_live]
        part[2] += 1
        if count >= 5:
            x = max(-3.0, min(3.0, y / math.sqrt(squares / count)))
            part[0] += x
            part[1] += x * x
        squares, count = squares + y * y, count + 1
    (total, variance, active), (back, back_variance, back_active) = sums[True], sums[False]
    share = SHARES[GROUPS.index(group)]
    level, recipes, w = 0.8 * 0.05 / 3, DESIGN_CHOICES + 3.0, 0.5
    z_all = -NORMAL.inv_cdf(level * 0.5 / 2)
    with_backtest = (w * BACK + 180) / math.sqrt(w * w * BACK + 180)
    assert with_backtest / -NORMAL.inv_cdf(level * 0.5 / recipes / 2) > math.sqrt(180) / z_all
    z = -NORMAL.inv_cdf(level * share / recipes / 2)
    p = (active + back_active + 10) / (LIVE + BACK + 10)
    v = max(variance + (180 - LIVE) * p, 180 * p) + w * w * max(back_variance, back_active)
    score, boundary = total + w * back, z * math.sqrt(v)
    left = 180 - LIVE
    return {
        "nights": active,
        "score": score,
        "boundary": boundary,
        "live": total,
        "live_squares": variance,
        "backtest": back,
        "backtest_squares": back_variance,
        "variance": v,
        "presence": p,
        "quantile": z,
        "ratio": total / math.sqrt(variance),
        "confirmation": -NORMAL.inv_cdf(NORMAL.cdf(-1.0) * share / 0.5),
        "short": boundary - score,
        "nights_left": left,
        "needed_sharpe": (boundary - score) / left * math.sqrt(365),
    }


@pytest.mark.parametrize("line", [LIGHTGBM, LSTM, XGBOOST])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_number_of_a_trial_follows_from_the_rows(
    store: SeriesStore, symbol: str, line: str
) -> None:
    document = of(store, symbol, line)
    (decision,) = document["decisions"]
    assert (decision["outcome"], decision["group"], decision["line"]) == ("on trial", None, line)
    assert (decision["nights"], decision["of_nights"]) == (LIVE, 180)
    assert decision["level"] == pytest.approx(0.8 * 0.05 / 3, rel=1e-12)
    assert (decision["recipes"], decision["weight"]) == (DESIGN_CHOICES + 3.0, 0.5)
    assert decision["night"] == document["night"] == f"{day_start(FIRST + LIVE):%Y-%m-%d}"
    own = [group for group in GROUPS if group == symbol or group not in SYMBOLS]
    known = {str(r) for r in REGIMES if champion(str(r)) != line}
    assert [entry["group"] for entry in decision["groups"]] == own
    for entry in decision["groups"]:
        if (group := entry.pop("group")) in known | {"all", symbol}:
            assert entry == pytest.approx(by_hand(store, line, group), rel=1e-9)
        else:  # the line is the champion: there is nothing to compare
            unknown = {key for key, value in entry.items() if value is None}
            assert unknown >= {"score", "live", "backtest", "ratio", "short", "needed_sharpe"}


def test_it_says_who_is_champion_and_who_is_a_rival(store: SeriesStore) -> None:
    document = of(store, SYMBOLS[0], LSTM)
    assert {c["regime"]: c["champion"] for c in document["cells"]} == {
        str(r): prior_line(r, [LIGHTGBM, LSTM, XGBOOST], {line.id: line for line in LINES})
        for r in REGIMES
    }
    assert {(c["since"], c["reason"]) for c in document["cells"]} == {(None, "prior")}
    assert [rival["line"] for rival in document["rivals"]] == [LIGHTGBM, XGBOOST]
    for rival in document["rivals"]:
        (own,) = of(store, SYMBOLS[0], rival["line"])["decisions"]
        assert rival == own
    assert document["watches"] == document["appointments"] == []


def test_what_would_change_it_names_the_nearest_group(store: SeriesStore) -> None:
    (decision,) = of(store, SYMBOLS[1], XGBOOST)["decisions"]
    known = [entry for entry in decision["groups"] if entry["score"] is not None]
    assert len(known) < len(decision["groups"])
    best = max(known, key=lambda entry: entry["score"] / entry["boundary"])
    assert f"nearest is {best['group']}, {best['score']:.1f} of" in decision["reason"]
    words = decision["change"][0]
    assert f"{best['boundary']:.1f} in {best['group']}: {best['short']:.1f} more" in words
    assert f"in the {180 - LIVE} nights" in words
    assert f"about {best['needed_sharpe']:.1f} of" in words


def test_the_evidence_has_a_digest_that_anyone_can_compute(store: SeriesStore) -> None:
    evidence = of(store, SYMBOLS[0], LSTM)["evidence"]
    rows = store.read("evidence")
    lines, symbols = sorted(rows["line"].unique()), sorted(rows["symbol"].unique())
    regimes = [str(regime) for regime in REGIMES]
    cells = rows.set_index(["time", "symbol", "regime", "line"])["profit"]
    values = [
        [[[cells[t, s, r, k] for k in lines] for r in regimes] for s in symbols]
        for t in sorted(rows["time"].unique())
    ]
    first = f"{rows['time'].min():%Y-%m-%d}"
    axes = {"first": first, "lines": lines, "regimes": regimes, "symbols": symbols}
    header = json.dumps(axes, separators=(",", ":")).encode()
    data = np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes()
    assert evidence["digest"] == hashlib.sha256(header + data).hexdigest()
    own = rows[(rows["symbol"] == SYMBOLS[0]) & (rows["line"] == LSTM) & rows["profit"].notna()]
    counts = own.groupby("source")["time"].nunique()
    assert evidence["nights"] == {"live": counts["live"], "backtest": counts["backtest"]}


def test_before_a_night_is_decided_a_trial_begins(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path / "series")
    store.append("evidence", evidence_rows(FIRST - 29, live(30), source="backtest", tried=3.0))
    close(store, FIRST)
    (decision,) = of(store, SYMBOLS[0], LSTM)["decisions"]
    assert (decision["outcome"], decision["nights"]) == ("on trial", 0)
    whole = decision["groups"][0]
    assert (whole["nights"], whole["ratio"], whole["nights_left"]) == (0, None, 180)
    assert whole["backtest"] != 0.0


def test_symbols_and_lines_of_no_contest_have_none(store: SeriesStore) -> None:
    assert certificates(store).of("CCC/USD", LSTM) is None
    assert certificates(store).of(SYMBOLS[0], "lstm-000000000000") is None


def winner(tmp_path: Path, nights: int) -> SeriesStore:
    """XGBoost wins all cells at some night, all of which are closed one by one."""
    store = SeriesStore(tmp_path / "series")
    close(store, FIRST)
    decide(store, NAME)
    store.append("evidence", evidence_rows(FIRST + 1, live(nights, edge=1.2, seed=5)))
    for day in range(FIRST + 1, FIRST + nights + 1, 20):
        close(store, min(day + 19, FIRST + nights))
        decide(store, NAME)
    return store


def test_a_champions_certificate_has_the_decision_that_made_it_one(tmp_path: Path) -> None:
    store = winner(tmp_path, 100)
    document = of(store, SYMBOLS[0], XGBOOST)
    won = [cell for cell in document["cells"] if cell["since"]]
    assert won
    assert {cell["champion"] for cell in won} == {XGBOOST}
    first = document["appointments"][0]
    assert (first["outcome"], first["line"]) == ("promoted", XGBOOST)
    (entry,) = [entry for entry in first["groups"] if entry["group"] == first["group"]]
    assert entry["score"] >= entry["boundary"]
    assert (entry["short"], entry["backtest"]) == (0.0, None)
    assert won[0]["reason"] == first["reason"]
    assert first["night"] in {cell["since"] for cell in won}
    watch = document["watches"][0]
    assert watch["group"] == first["group"]
    assert 0.0 <= watch["fall"] < watch["fall_boundary"]
    loser = of(store, SYMBOLS[0], LIGHTGBM)
    assert loser["appointments"] == []


def test_dismissed_lines_wait_until_enough_of_the_level_is_free(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path / "series")
    close(store, FIRST)
    decide(store, NAME)
    store.append("evidence", evidence_rows(FIRST + 1, live(181, seed=9)))
    close(store, FIRST + 179)
    decide(store, NAME)
    close(store, FIRST + 180)
    documents = [of(store, SYMBOLS[0], line) for line in (LIGHTGBM, LSTM, XGBOOST)]
    outcomes = [d["outcome"] for document in documents for d in document["decisions"]]
    assert "dismissed" in outcomes
    for document in documents:
        for decision in document["decisions"]:
            if decision["outcome"] == "dismissed":
                assert decision["change"][0].startswith("another trial, of live nights alone")
                assert decision["groups"][0]["needed_sharpe"] is None
