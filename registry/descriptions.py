"""Texts in MLflow's UI: descriptions in Markdown, and links to its pages.

Links are relative to the page that holds them, so they work wherever the UI is served.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from brain.artifacts import (
    BEESWARM,
    DRIFT,
    EVIDENTLY_REPORT,
    EXPLANATION,
    FEATURES_PAGE,
    MODEL_CARD,
    PROFIT_FIGURE,
)
from brain.confidence import Posterior
from brain.model_keys import ModelKey, ahead
from brain.records import Champion, Evidence
from brain.standing import Standing
from brain.text import plus_minus

__all__ = [
    "card_link",
    "describe_model",
    "explanation_links",
    "history_link",
    "markdown_table",
    "run_link",
]

# Text above this mark is by people and stays. The UI does not show the mark.
_MARK = "<!-- the night writes what is below -->"
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


def run_link(experiment_id: str, run_id: str, artifact: str | None = None) -> str:
    """The page of a run, or of one of its artifacts; if that is missing, of all of them."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}"
    return page if artifact is None else f"{page}/artifacts/{artifact}"


def explanation_links(page: str) -> str:
    """Links from a run's page to its profit, importances, features and drift.

    Only a champion has them.
    """
    files = f"{page}/artifacts"
    return (
        f"[profit]({files}/{PROFIT_FIGURE}), "
        f"[importances]({files}/{EXPLANATION}/{BEESWARM}), "
        f"[features]({files}/{EXPLANATION}/{FEATURES_PAGE}), "
        f"[drift]({files}/{DRIFT}/{EVIDENTLY_REPORT})"
    )


def card_link(page: str) -> str:
    """A link from a run's page to its version's model card."""
    return f"[card]({page}/artifacts/{MODEL_CARD})"


def history_link(experiment_id: str, key: ModelKey) -> str:
    """The charts of all runs of a model's families, over the nights."""
    # By a parameter: runs from before models had keys have no tag for their horizon.
    filter_string = (
        f'tags.model_id LIKE "%" AND tags.symbol = "{key.symbol}" '
        f'AND tags.timeframe = "{key.timeframe}" AND params.horizon = "{key.horizon}"'
    )
    condition = quote(filter_string, safe="")
    return f"#/experiments/{experiment_id}/runs?compareRunsMode=CHART&searchFilter={condition}"


def describe_model(
    description: str | None,
    key: ModelKey,
    standings: Sequence[Standing],
    links: Mapping[int, str],
) -> str:
    """The description of a registered model: the champion of each cell, and why.

    Args:
        description: the present one; text that people wrote above the mark stays.
        key: of the model.
        standings: of the champions of the model's cells.
        links: pages of the versions' runs by version; versions may lack one.
    """
    preface = (description or "").partition(_MARK)[0].strip()
    rows = [
        (
            f"**{champion.regime}**",
            champion.record.family,
            f"[{champion.version}]({_version_page(champion)})",
            _expected(champion.record.posterior),
            plus_minus(champion.record.net_sharpe, champion.record.net_sharpe_error),
            _beside(champion.record.evidence),
            champion.record.bars,
            champion.record.episodes,
            champion.record.night or "unknown",
            _links(links[champion.version]) if champion.version in links else "",
        )
        for champion in (standing.champion for standing in standings)
    ]
    columns = (
        "regime",
        "champion",
        "version",
        "net Sharpe to expect",
        "measured",
        "long, reversal",
        "bars",
        "episodes",
        "night",
        "explained",
    )
    # Below the table, as the UI cuts off what is wider than the window and doesn't wrap cells.
    reasons = "".join(f"- **{s.champion.regime}**: {s.why}\n" for s in standings)
    introduction = (
        f"{_MARK}\nModels of **{key.symbol}** on {key.timeframe} bars, {ahead(key.horizon)}: a "
        "version per family and night. The one to trust in a "
        "volatility regime has the alias `champion-<regime>`, the next best `challenger-<regime>`, "
        "the one before `previous-<regime>`.\n\n"
    )
    table = f"{markdown_table(columns, rows)}\n{reasons}" if rows else "No champion yet.\n"
    return f"{preface}\n\n{introduction}{table}".lstrip()


def _links(page: str) -> str:
    return f"{card_link(page)}, {explanation_links(page)}"


def _version_page(champion: Champion) -> str:
    return f"#/models/{quote(champion.model, safe='')}/versions/{champion.version}"


def _expected(posterior: Posterior | None) -> str:
    """The shrunken net Sharpe ratio and its interval, which are to be read first."""
    if posterior is None:
        return "unknown"
    return f"{posterior.mean:.2f} ({posterior.low:.2f} to {posterior.high:.2f})"


def _beside(evidence: Evidence) -> str:
    """The net Sharpe ratios that the champion's is compared with; their errors are on the run."""
    values = (evidence.long_sharpe.value, evidence.reversal_sharpe.value)
    return ", ".join("unknown" if math.isnan(value) else f"{value:.2f}" for value in values)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table with space between its columns in the UI."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(_visible(row[i])) for row in cells) for i in range(len(columns))]
    head = "|".join(f" {c}{_gap(c, w)} " for c, w in zip(columns, widths, strict=True))
    lines = [f"|{head}|", "|" + ":---|" * len(columns)]
    lines += ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join(lines) + "\n"


def _visible(cell: str) -> str:
    return _LINK.sub(r"\1", cell).replace("**", "")


def _gap(column: str, width: int) -> str:
    """Blanks that make a column's head wider than its cells: the UI has no space between them."""
    return "&emsp;" * (2 + max(0, width - len(column)) // 2)
