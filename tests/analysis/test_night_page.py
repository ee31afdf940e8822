"""A night's page has every symbol, cell and failure, as they are, and needs no network."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from analysis.documents import join_documents
from analysis.night_page import night_page
from brain.errors import BrainError
from brain.work import Failure
from tests.html_page import HtmlPage

COSTS = "each unit traded costs 5.0 bp"


def profit(
    symbol: str, number: int, family: str, net: list[float], **changes: Any
) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "model_id": f"{symbol.replace('/', '-')}.1h.6/{number}",
        "family": family,
        "net_sharpe": 1.25,
        "net_sharpe_error": 0.5,
        "first": "2024-01-01T00:00:00+00:00",
        "last": "2024-01-11T00:00:00+00:00",
        "net": net,
        **changes,
    }


def champion(symbol: str, regime: str, number: int, family: str, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "timeframe": "1h",
        "horizon": 6,
        "night": "2024-01-11",
        "regime": regime,
        "model_id": f"{symbol.replace('/', '-')}.1h.6/{number}",
        "family": family,
        "net_sharpe": 2.0,
        "net_sharpe_error": 0.75,
        "confidence": 0.875,
        "bars": 1234,
        "episodes": 7,
        "reason": "prior: no family is clearly better",
        "fill": "worked through the next 1h bar",
        "cost_bp": 5.0,
        "metrics": {
            "net_sharpe": 2.0,
            "net_sharpe_error": 0.75,
            "gross_sharpe": 2.5,
            "delayed_sharpe": 2.25,
            "long_sharpe": 0.5,
            "reversal_sharpe": -1.5,
            "break_even_bp": 20.125,
        },
        **changes,
    }


def part(*champions: dict[str, Any], profits: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    lists = {"champions": list(champions), "profits": list(profits)}
    return {**lists, "versions": [], "analyses": [], "drift": []}


def unknown(symbol: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("net_sharpe", "net_sharpe_error", "confidence", "bars", "episodes"))
    return champion(symbol, "extreme", 1, "lstm", **nothing, metrics={})


@pytest.fixture
def document() -> dict[str, Any]:
    """A night of two symbols with champions, one of them an earlier start's, and a failure."""
    net = [0.0, 0.1, 0.3]
    late = profit("BTC/USD", 10, "lstm", [0.0, -0.1], first="2024-01-06T00:00:00+00:00")
    parts = [
        part(
            champion("BTC/USD", "low", 2, "xgboost"),
            champion("BTC/USD", "high", 10, "lstm"),
            profits=(late, profit("BTC/USD", 2, "xgboost", net)),
        ),
        json.loads(json.dumps(part(unknown("ETH/USD"), profits=()))),
    ]
    failures = [Failure("<b>BAD</b>/USD", BrainError('a "quote" & <script>alert(1)</script>'))]
    return join_documents(parts, failures, {"analyse": 12.4})


def page_of(document: dict[str, Any]) -> str:
    symbols = ["BTC/USD", "ETH/USD", "<b>BAD</b>/USD"]
    return night_page(document, symbols, title="Night <1>")


def test_every_symbol_cell_and_failure_is_on_the_page(document: dict[str, Any]) -> None:
    page = HtmlPage(page_of(document))
    texts = [" ".join(text.split()) for text in page.texts]
    assert texts[0] == texts[2] == "Night <1>"
    assert re.findall("<h2>(.*?)</h2>", page_of(document)) == [
        *("BTC/USD", "ETH/USD", "&lt;b&gt;BAD&lt;/b&gt;/USD", "Failures")
    ]
    low = texts[texts.index("low") :][:13]
    assert low == [
        *("low", "xgboost", "BTC-USD.1h.6/2", "2.00 ± 0.75", "2.50", "2.25", "0.50", "-1.50"),
        *("20.1 bp", "0.88", "not judged", "1234, 7", "2024-01-11"),
    ]
    extreme = texts[texts.index("extreme") :][:13]
    assert extreme == [
        *(
            "extreme",
            "lstm",
            "ETH-USD.1h.6/1",
            "unknown",
            "?",
            "?",
            "?",
            "?",
            "?",
            "unknown",
            "not judged",
            "?, ?",
            "2024-01-11",
        ),
    ]
    assert texts.count("prior: no family is clearly better") == 3
    assert "BTC-USD.1h.6/10 -10.0%, net Sharpe 1.25 ± 0.50" in texts
    assert texts.count("Models on 1h bars, 6 bars ahead.") == 2
    assert "No profit to draw." in texts
    assert "No champion." in texts
    assert 'a "quote" & <script>alert(1)</script>' in texts
    (words,) = [text for text in texts if COSTS in text]
    assert "decisions are worked through the next 1h bar." in words


def test_curves_share_their_axes_and_end_where_the_profit_ends(document: dict[str, Any]) -> None:
    (svg,) = re.findall(r"<svg.*?</svg>", page_of(document), re.DOTALL)
    picture = ET.fromstring(svg)
    curves = {line.findtext("title"): line for line in picture.iter("polyline")}
    assert list(curves) == ["BTC-USD.1h.6/2", "BTC-USD.1h.6/10"]
    points = {
        name: np.array([point.split(",") for point in line.attrib["points"].split()], int)
        for name, line in curves.items()
    }
    np.testing.assert_array_equal(points["BTC-USD.1h.6/2"], [[0, 120], [300, 80], [600, 0]])
    np.testing.assert_array_equal(points["BTC-USD.1h.6/10"], [[300, 120], [600, 160]])
    (zero,) = picture.iter("line")
    assert zero.attrib["y1"] == zero.attrib["y2"] == "120"


def test_the_page_needs_no_network_and_runs_nothing(document: dict[str, Any]) -> None:
    text = page_of(document)
    HtmlPage(text).check_self_contained()
    assert "//" not in text.replace("<!DOCTYPE html>", "")


def test_a_night_without_anything_is_a_page() -> None:
    page = HtmlPage(night_page(join_documents([], [], {}), [], title="Night"))
    assert "Nothing failed." in page.texts


def test_four_hundred_symbols_are_a_page_that_opens() -> None:
    rng = np.random.default_rng(0)
    families = ("xgboost", "lightgbm", "lstm", "lightgbm")
    parts = []
    for number in range(400):
        symbol = f"SYM{number}/USD"
        curves = [list(rng.normal(0, 0.02, 120).cumsum().round(4)) for _ in range(3)]
        cells = [
            champion(symbol, regime, 1 + place % 3, family)
            for place, (regime, family) in enumerate(
                zip(("low", "normal", "high", "extreme"), families, strict=True)
            )
        ]
        profits = [profit(symbol, 1 + k, families[k], curve) for k, curve in enumerate(curves)]
        parts.append(part(*cells, profits=tuple(profits)))
    text = night_page(join_documents(parts, [], {}), [], title="Night")
    assert text.count("<polyline") == 1200
    assert len(text) < 4_000_000  # MLflow's viewer hangs near 10 MB


def test_a_champions_line_and_size_are_on_the_page(document: dict[str, Any]) -> None:
    cell = document["champions"][0]
    cell |= {"line": "xgboost-0123456789ab", "size": 0.0, "size_reason": "abstain: for a test"}
    texts = [" ".join(text.split()) for text in HtmlPage(page_of(document)).texts]
    low = texts[texts.index("low") :][:14]
    assert (low[1], low[10]) == ("xgboost-0123456789ab", "0")
    assert low[13].endswith("; size 0, abstain: for a test")
