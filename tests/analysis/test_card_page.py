"""A version's card says all of its certificate, and unknown where that has null."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from analysis.card_page import card_page
from tests.html_page import HtmlPage

REGIMES = ("low", "normal", "high", "extreme", "all")
ESTIMATES = (
    *("net_sharpe", "rank_ic", "hit_rate", "max_drawdown", "gross_sharpe", "delayed_sharpe"),
    *("gain_bp", "break_even_bp", "sign_gross_sharpe", "sign_net_sharpe", "long_sharpe"),
    "reversal_sharpe",
)


def group(name: str, **changes: Any) -> dict[str, Any]:
    figures = {
        "nights": 12,
        "live": 3.21,
        "live_squares": 11.5,
        "backtest": 4.32,
        "backtest_squares": 300.0,
        "score": 5.37,
        "boundary": 50.14,
        "variance": 200.0,
        "presence": 0.9,
        "quantile": 3.5,
        "ratio": 0.95,
        "confirmation": 1.0,
        "short": 44.77,
        "nights_left": 168,
        "needed_sharpe": 5.1,
    }
    return {"group": name, **figures, **changes}


def decision(**changes: Any) -> dict[str, Any]:
    return {
        "night": "2026-11-20",
        "outcome": "on trial",
        "line": "xgboost-1",
        "group": None,
        "against": ["lightgbm-2"],
        "nights": 12,
        "of_nights": 180,
        "level": 0.02,
        "recipes": 33.4,
        "weight": 0.5,
        "reason": "on trial, night 12 of 180; nearest is all, 5.4 of 50.1",
        "groups": [group("all")],
        "change": ["a score of 50.1 in all"],
        **changes,
    }


@pytest.fixture
def certificate() -> dict[str, Any]:
    return {
        "format": 1,
        "night": "2026-11-21",
        "policy": "trial",
        "version": {
            "symbol": "BTC/USD",
            "timeframe": "1h",
            "horizon": 6,
            "model_id": "BTC-USD.1h.6/4",
            "family": "xgboost",
            "line": "xgboost-1",
            "digest": "d" * 64,
            "refit": "",
        },
        "champions": [
            {
                "regime": "low",
                "model_id": "BTC-USD.1h.6/3",
                "digest": "e" * 64,
                "family": "lightgbm",
                "line": "lightgbm-2",
                "size": 0.25,
                "confidence": None,
                "expected": {"mean": 0.25, "low": -1.5, "high": 2.0},
                "why": "prior <&> more",
            }
        ],
        "contest": {
            "contest": "1h.6",
            "night": "2026-11-20",
            "decisions": [decision()],
            "appointments": [],
            "rivals": [],
            "watches": [],
            "evidence": {
                "digest": "f" * 64,
                "until": "2026-11-20",
                "nights": {"live": 12, "backtest": 418},
            },
        },
        "data": {
            "source": "bars",
            "digest": "a" * 64,
            "timeframe": "1h",
            "calendar": "continuous",
            "first": "2017-07-01T12:00:00+00:00",
            "last": "2019-10-17T09:00:00+00:00",
            "bars": 20110,
            "missing_bars": 5,
            "own_columns": [],
            "unused_columns": ["mood"],
            "repairs": ["5 bars missing in 2 gaps"],
            "findings": [],
            "missing_values": 0.0019,
            "missing_by_feature": {"funding_8": 0.25},
        },
        "training": {"hp.depth": "6"},
        "evaluation": {
            regime: {
                "bars": 100,
                "episodes": 5,
                "positions": 7,
                "years": 1.1,
                "caveats": ["costs take all of it"],
                "beats_flat": regime == "low",
                "estimates": {name: {"value": 1.25, "error": 0.5} for name in ESTIMATES},
            }
            for regime in REGIMES
        },
        "explanation": None,
        "drift": None,
    }


def words(document: dict[str, Any]) -> str:
    page = HtmlPage(card_page(document))
    page.check_self_contained()
    return " ".join(" ".join(page.texts).split())


def test_the_card_has_decision_data_training_evaluation_and_digests(
    certificate: dict[str, Any],
) -> None:
    text = words(certificate)
    for part in (
        "Champion of no regime of BTC/USD.",
        "night 12 of 180; nearest is all, 5.4 of 50.1",
        "Level 2.000%; K = 33.4 recipes were tried on the backtest's nights, which count 0.5 each",
        "all 12 3.21 4.32 5.37 50.14 44.77 5.1 0.95 of 1.00",
        "Counted are 12 live nights of the line on this symbol and 418 nights of its backtest",
        "prior <&> more",
        "lightgbm-2 0.25 (-1.50 to 2.00) unknown 0.25",
        "missing bars 5",
        "0.19% of the training rows",
        "… of funding_8 25.00%",
        "5 bars missing in 2 gaps",
        "column mood is left out",
        "hp.depth 6",
        "1.25 ± 0.50 1.2 bp",
        "in normal: not shown to beat flat; costs take all of it",
        "Only champions are explained.",
        *("d" * 64, "e" * 64, "f" * 64, "a" * 64),
    ):
        assert part in text, part
    assert "in low: not shown" not in text


def blank(value: Any) -> Any:
    """The same where no number is known."""
    if isinstance(value, dict):
        return {k: blank(v) for k, v in value.items()}
    if isinstance(value, list):
        return [blank(v) for v in value]
    return None if isinstance(value, float) else value


def test_nothing_unknown_is_shown_as_a_number(certificate: dict[str, Any]) -> None:
    document = blank(copy.deepcopy(certificate))
    document["contest"]["decisions"][0] |= {"level": 0.02, "recipes": 33.4, "boundary": 50.0}
    document["data"]["missing_by_feature"] = {}
    document["champions"][0]["expected"] = None
    entry = group("all", nights=0)
    document["contest"]["decisions"][0]["groups"] = [
        {
            k: v if k in {"group", "nights", "nights_left", "boundary"} else None
            for k, v in entry.items()
        }
    ]
    text = words(document)
    assert "all 0 unknown unknown unknown 50.14 unknown unknown not needed" in text
    assert "low unknown unknown unknown" in text
    assert "missing feature values unknown" in text
    assert "BTC-USD.1h.6/3 lightgbm-2 unknown unknown not judged" in text
    assert "nan" not in text
    assert "None" not in text


@pytest.mark.parametrize("policy", ["trial", "provisional", "composite"])
def test_without_a_contest_it_says_how_champions_are_named(
    certificate: dict[str, Any], policy: str
) -> None:
    text = words({**certificate, "contest": None, "policy": policy})
    expected = {
        "trial": "No night with this line is closed yet.",
        "provisional": "named by the provisional policy",
        "composite": "named by the composite score",
    }
    assert expected[policy] in text
    assert "evidence of" not in text


def test_a_champion_says_since_when_and_what_it_is_watched_for(
    certificate: dict[str, Any],
) -> None:
    promoted = decision(
        outcome="promoted", group="all", reason="takes all: its score 51.0", change=[]
    )
    watch = {
        "group": "all",
        "before": ["lightgbm-2"],
        "nights": 3,
        "promise": 0.31,
        "change": ["the line before it comes back to all when its fall"],
    }
    contest = {**certificate["contest"], "appointments": [promoted], "watches": [watch]}
    contest["rivals"] = [decision(line="lstm-3", reason="on trial, night 1 of 180")]
    text = words({**certificate, "contest": contest})
    assert "Why it is champion, since 2026-11-20" in text
    assert "Watched in all, 3 nights so far" in text
    assert "promoted for a mean of 0.31 a night" in text
    assert "On trial against it: lstm-3" in text
