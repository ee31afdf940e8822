"""The dictionary of the features for people."""

from __future__ import annotations

import re
from pathlib import Path

from analysis.dictionary import features_document, features_page
from engine.kernels.features import FEATURES
from engine.kernels.liquidations import LIQUIDATION_FEATURES
from engine.kernels.market_features import MARKET_FEATURES
from engine.kernels.sentiment import SENTIMENT_FEATURES

DOCUMENT = Path(__file__).parents[2] / "docs" / "features.md"


def test_the_document_is_that_of_the_entries() -> None:
    cure = "write it anew: python -m analysis.dictionary > docs/features.md"
    assert DOCUMENT.read_text() == features_document(), cure


def test_the_document_has_a_line_of_five_cells_for_every_feature() -> None:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    names = [re.findall(r"^\| `(\w+)` \|", line)[0] for line in lines]
    kernels = FEATURES, MARKET_FEATURES, SENTIMENT_FEATURES, LIQUIDATION_FEATURES
    assert tuple(names) == tuple(name for kernel in kernels for name in kernel)
    assert {line.count("|") for line in lines} == {6}
    assert "known at that bar's CLOSE" in DOCUMENT.read_text()


def test_the_page_has_a_models_features_in_its_order_and_tells_own_columns() -> None:
    names = ["vix", "ret_24", "gone", "funding_8h"]
    page = features_page(names, ["vix"], title="Features of AAA-USD/1 <lstm>")
    assert re.findall(r'<tr id="([^"]+)">', page) == names
    assert "Features of AAA-USD/1 &lt;lstm&gt;" in page
    assert "ln(close / close[-24]) / (sigma √24)" in page
    assert "known at that bar&#39;s CLOSE" in page
    assert "no feature of this release" in page
    assert "CLOSE" not in features_page(["ret_24"], [], title="x")
