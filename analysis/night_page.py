"""A night on one page: every symbol's champions, what they earned, and what failed.

Made of the night's documents alone. MLflow shows it in a frame that may not lead anywhere, so it
names versions and has no links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from brain.artifacts import CERTIFICATE, EXPLANATION, FEATURES_PAGE, MODEL_CARD
from brain.model_keys import ahead
from brain.naming import parse_model_id
from brain.pages import render
from brain.records import Estimate, Evidence
from brain.text import break_even, plus_minus
from registry.descriptions import run_link

__all__ = ["card_links", "night_page"]

_WIDTH, _HEIGHT = 600, 160
#: A description has room for 8,000 characters.
_MOST_LINKS = 40
_COLUMNS = (
    *("net Sharpe", "gross", "one bar later", "always long", "reversal", "break-even"),
    *("confidence", "size", "bars, episodes", "night"),
)


def night_page(document: Mapping[str, Any], symbols: Sequence[str], *, title: str) -> str:
    """The page.

    Args:
        document: of the night, as :func:`analysis.documents.join_documents` returns it.
        symbols: of the night; those without a champion are on the page too.
        title: says which night it is.
    """
    every = dict.fromkeys([*symbols, *(c["symbol"] for c in document["champions"])])
    cells = document["champions"]
    return render(
        _TEMPLATE,
        title=title,
        explanation=EXPLANATION,
        features=FEATURES_PAGE,
        card=MODEL_CARD,
        certificate=CERTIFICATE,
        costs=_costs(cells),
        fills=list(dict.fromkeys(cell["fill"] for cell in cells if cell["fill"])),
        columns=_COLUMNS,
        sections=[_section(document, symbol) for symbol in every],
        cells=len(cells),
        credible=sum(Evidence.from_metrics(cell["metrics"]).beats_flat for cell in cells),
        failures=document["failures"],
        seconds=document["seconds"],
        width=_WIDTH,
        height=_HEIGHT,
    )


def card_links(experiment_id: str, document: Mapping[str, Any]) -> str:
    """Links to the champions' model cards for the night's description, in Markdown.

    As many as a description has room for; the others are in the models' descriptions.
    """
    champions = {champion["model_id"] for champion in document["champions"]}
    runs = {e["model_id"]: e["run_id"] for e in document["certificates"]}
    links = [
        f"[{model_id}]({run_link(experiment_id, runs[model_id], MODEL_CARD)})"
        for model_id in sorted(champions & set(runs), key=parse_model_id)
    ]
    if not links:
        return ""
    more = len(links) - _MOST_LINKS
    rest = f", and of {more} more in the models' descriptions" if more > 0 else ""
    return f"\n\nModel cards of the champions: {', '.join(links[:_MOST_LINKS])}{rest}."


@dataclass(frozen=True)
class _Curve:
    """A champion's net profit: its points in the picture, and words."""

    family: str
    model_id: str
    points: str
    words: str


@dataclass(frozen=True)
class _Chart:
    """A symbol's curves on common axes; ``zero`` is the height of no profit."""

    curves: Sequence[_Curve]
    zero: int
    low: str
    high: str
    first: str
    last: str


@dataclass(frozen=True)
class _Cell:
    """A champion's line; ``numbers`` belong to the columns."""

    regime: str
    family: str
    line: str
    model_id: str
    numbers: Sequence[str]
    why: str


@dataclass(frozen=True)
class _Section:
    """A symbol's part of the page.

    ``faults`` are sentences on its bars; ``trials`` are versions, what was decided of their lines,
    and what would change it.
    """

    symbol: str
    models: str
    faults: Sequence[str]
    chart: _Chart | None
    cells: Sequence[_Cell]
    trials: Sequence[tuple[str, str, Sequence[str]]]
    without_profit: Sequence[str]


def _costs(cells: Sequence[Mapping[str, Any]]) -> str:
    """The least and the largest cost of a unit traded among the cells."""
    costs = sorted({cell["cost_bp"] for cell in cells if cell.get("cost_bp") is not None})
    if not costs:
        return "an unknown amount"
    return " to ".join(f"{cost:.1f}" for cost in dict.fromkeys((costs[0], costs[-1]))) + " bp"


def _section(document: Mapping[str, Any], symbol: str) -> _Section:
    champions = [entry for entry in document["champions"] if entry["symbol"] == symbol]
    ids = {champion["model_id"] for champion in champions}
    profits = {p["model_id"]: p for p in document["profits"] if p["model_id"] in ids}
    ordered = [profits[model_id] for model_id in sorted(profits, key=parse_model_id)]
    return _Section(
        symbol=symbol,
        models=_models(champions),
        faults=[
            entry["note"]
            for entry in document["quality"]
            if (entry["symbol"], entry["kind"]) == (symbol, "bars") and entry["findings"]
        ],
        chart=_chart(ordered) if ordered else None,
        cells=[_cell(champion) for champion in champions],
        trials=[
            (f"{entry['model_id']}, {entry['line']}", decision["reason"], decision["change"])
            for entry in document.get("certificates", ())  # an older summary has none
            if entry["symbol"] == symbol
            for decision in entry["decisions"]
        ],
        without_profit=[
            f"{one['model_id']} no profit plot: {one['reason']}"
            for one in document["without_profit"]
            if one["model_id"] in ids
        ],
    )


def _models(champions: Sequence[Mapping[str, Any]]) -> str:
    """Timeframe and horizon of a symbol's champions, in words."""
    keys = {(c["timeframe"], c["horizon"]): None for c in champions}
    return "; ".join(f"on {timeframe} bars, {ahead(horizon)}" for timeframe, horizon in keys)


def _cell(champion: Mapping[str, Any]) -> _Cell:
    evidence = Evidence.from_metrics(champion["metrics"])
    confidence, bars, episodes = (champion[key] for key in ("confidence", "bars", "episodes"))
    size, stop = champion.get("size"), champion.get("size_reason")
    return _Cell(
        regime=champion["regime"],
        family=champion["family"],
        line=champion.get("line") or champion["family"],
        model_id=champion["model_id"],
        numbers=[
            plus_minus(champion["net_sharpe"], champion["net_sharpe_error"]),
            *(
                _sharpe(estimate)
                for estimate in (
                    evidence.gross_sharpe,
                    evidence.delayed_sharpe,
                    evidence.long_sharpe,
                    evidence.reversal_sharpe,
                )
            ),
            break_even(evidence.break_even_bp.value),
            "unknown" if confidence is None else f"{confidence:.2f}",
            "not judged" if size is None else f"{size:.2g}",
            ", ".join("?" if number is None else str(number) for number in (bars, episodes)),
            champion["night"] or "unknown",
        ],
        # A summary from before champions had it has its parts.
        why=champion.get("why")
        or "; ".join(
            filter(None, (champion.get("note"), champion["reason"], stop and f"size 0, {stop}"))
        ),
    )


def _sharpe(estimate: Estimate) -> str:
    return f"{estimate.value:.2f}" if np.isfinite(estimate.value) else "?"


def _over_all_bars(profit: Mapping[str, Any]) -> str:
    sharpe = plus_minus(profit["net_sharpe"], profit["net_sharpe_error"])
    return f"{profit['net'][-1]:+.1%}, net Sharpe {sharpe}"


def _chart(profits: Sequence[Mapping[str, Any]]) -> _Chart:
    """Whole numbers for coordinates: hundreds of pictures are on a page."""
    starts = [pd.Timestamp(profit["first"]) for profit in profits]
    ends = [pd.Timestamp(profit["last"]) for profit in profits]
    first, last = min(starts), max(ends)
    low = min(0.0, *(min(profit["net"]) for profit in profits))
    high = max(0.0, *(max(profit["net"]) for profit in profits))
    height = (high - low) or 1.0
    span = (last - first) / pd.Timedelta(1) or 1.0

    def line(profit: Mapping[str, Any], start: pd.Timestamp, end: pd.Timestamp) -> str:
        left, right = (_WIDTH * ((t - first) / pd.Timedelta(1)) / span for t in (start, end))
        x = np.linspace(left, right, len(profit["net"])).round().astype(int)
        y = (_HEIGHT * (high - np.array(profit["net"])) / height).round().astype(int)
        return " ".join(f"{a},{b}" for a, b in zip(x, y, strict=True))

    return _Chart(
        curves=[
            _Curve(p["family"], p["model_id"], line(p, start, end), _over_all_bars(p))
            for p, start, end in zip(profits, starts, ends, strict=True)
        ],
        zero=round(_HEIGHT * high / height),
        low=f"{low:+.0%}" if low else "0",
        high=f"{high:+.0%}" if high else "0",
        first=f"{first:%Y-%m-%d}",
        last=f"{last:%Y-%m-%d}",
    )


_TEMPLATE = """{% extends "page" %}
{% block style %}
body { max-width: 1500px; padding: 0 .8rem; }
.symbol { display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; align-items: flex-start; }
.chart { flex: 1 1 220px; max-width: 420px; } .cells { flex: 8 1 1020px; overflow-x: auto; }
.cells table { font-size: .82rem; } .cells th, .cells td { padding: .2rem .3rem; }
.cells th, .cells th.n { position: static; font-size: .8rem; white-space: normal; }
svg { display: block; width: 100%; height: 110px; background: #f7f8fa; }
polyline { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke; }
line { stroke: #9aa3ad; stroke-width: 1; vector-effect: non-scaling-stroke; }
polyline.lightgbm { stroke: #0072b2; } .key.lightgbm { background: #0072b2; }
polyline.xgboost { stroke: #d55e00; } .key.xgboost { background: #d55e00; }
polyline.lstm { stroke: #009e73; } .key.lstm { background: #009e73; }
p.fault { color: #8a1626; } summary { cursor: pointer; margin: .4rem 0; }
.chart .key:first-child, td .key { margin-left: 0; }
{% endblock %}
{% block body %}
<h1>{{ title }}</h1>
<p>{{ sections | length }} symbols, {{ cells }} champions, {{ credible }} of them with a net Sharpe
ratio credibly above 0; {{ failures | length }} failed.
{% for stage, taken in seconds.items() %}
{{ stage | capitalize }}: {{ "%.0f" | format(taken) }} s{{ "." if loop.last else "," }}
{% endfor %}</p>
<p>Out of sample; each unit traded costs {{ costs }}
{%- if fills %}; decisions are {{ fills | join(", or ") }}{% endif %}.
Sharpe ratios are annualised, net ones after costs, ± one standard error. Gross: before costs; one
bar later: gross, every decision filled one more bar late; always long, and reversal of the last
return: net, on the same bars; break-even: the cost of each unit traded that would leave nothing.
The picture is of each version over all bars, whatever the regime: the sum of its net returns, in
percent of the capital. What each feature of a version is, and how much it matters, is among the
files of its run, in {{ explanation }}/: {{ features }} and the pictures beside it.</p>
{% for section in sections %}
<h2>{{ section.symbol }}</h2>
{% if section.models %}<p>Models {{ section.models }}.</p>{% endif %}
{% for fault in section.faults %}
<p class="fault">Bars to look at: {{ fault }}.</p>
{% endfor %}
{% if section.cells %}
<div class="symbol">
<div class="chart">
{% if section.chart %}
<div class="axis"><span>{{ section.chart.high }}</span></div>
<svg viewBox="0 0 {{ width }} {{ height }}" preserveAspectRatio="none" role="img"
 aria-label="net profit of the champions of {{ section.symbol }}">
<line x1="0" x2="{{ width }}" y1="{{ section.chart.zero }}" y2="{{ section.chart.zero }}"/>
{% for curve in section.chart.curves %}
<polyline class="{{ curve.family }}" points="{{ curve.points }}">
<title>{{ curve.model_id }}</title></polyline>
{% endfor %}
</svg>
<div class="axis"><span>{{ section.chart.low }}</span><span>{{ section.chart.first }} to
{{ section.chart.last }}</span></div>
{% for curve in section.chart.curves %}
<p><span class="key {{ curve.family }}"></span>{{ curve.model_id }} {{ curve.words }}</p>
{% endfor %}
{% else %}
<p>No profit to draw.</p>
{% endif %}
{% for words in section.without_profit %}
<p>{{ words }}</p>
{% endfor %}
</div>
<div class="cells"><table>
<thead><tr><th>regime</th><th>champion</th><th>version</th>
{% for column in columns %}<th class="n">{{ column }}</th>{% endfor %}</tr></thead>
<tbody>
{% for cell in section.cells %}
<tr class="noted"><td class="name">{{ cell.regime }}</td>
<td class="name"><span class="key {{ cell.family }}"></span>{{ cell.line }}</td>
<td class="name">{{ cell.model_id }}</td>
{% for number in cell.numbers %}<td class="n">{{ number }}</td>{% endfor %}</tr>
<tr class="note"><td></td><td colspan="{{ columns | length + 2 }}">{{ cell.why }}</td></tr>
{% endfor %}
</tbody>
</table></div>
</div>
{% else %}
<p>No champion.</p>
{% endif %}
{% if section.trials %}
<details><summary>Trials of {{ section.symbol }}'s lines: {{ section.trials | length }}</summary>
{% for version, reason, changes in section.trials %}
<p><b>{{ version }}</b>: {{ reason }}.{% if changes %} What would change it:
{{ changes | join("; ") }}.{% endif %}</p>
{% endfor %}
<p>All of it with every number is in {{ card }} and {{ certificate }} among the files of the
version's run, to which this run's description and the model's lead.</p>
</details>
{% endif %}
{% endfor %}
<h2>Failures</h2>
{% if failures %}
<table>
<thead><tr><th>what</th><th>why</th></tr></thead>
<tbody>
{% for what, why in failures.items() %}
<tr><td class="name">{{ what }}</td><td>{{ why }}</td></tr>
{% endfor %}
</tbody>
</table>
{% else %}
<p>Nothing failed.</p>
{% endif %}
{% endblock %}
"""
