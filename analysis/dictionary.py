"""The dictionary of the features for people: ``docs/features.md``, and a page beside explanations.

``python -m analysis.dictionary > docs/features.md`` writes the former anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from brain.pages import render
from engine.kernels.dictionary import (
    BAR_ENTRIES,
    ENTRIES,
    LIQUIDATION_ENTRIES,
    MARKET_ENTRIES,
    NOTATION,
    SENTIMENT_ENTRIES,
    Entry,
)

__all__ = ["features_document", "features_page"]

_COLUMNS = ("feature", "formula", "unit", "look-back", "unknown (NaN) if")

_INTRODUCTION = (
    "A feature's value is known at its bar's close and does not look ahead. The look-back counts "
    "bars, the bar's own included; what is before the first bar counts as missing. A missing bar's "
    "row is unknown (NaN) in every feature, and so is a value whose denominator is 0: unknown is "
    "never 0. Prices and volumes enter as ratios, so their units don't matter."
)
_BARS = "Of every bar, from bars alone."
_MARKET = (
    "Of funding and open interest, where these are collected, joined by when they were published."
)
_SENTIMENT = (
    "Of posts and the Fear & Greed index, where these are collected (docs/sentiment.md), joined by "
    "when posts had been published and had arrived."
)
_LIQUIDATIONS = (
    "Of liquidations, where the setting liquidations names exchanges that have been listened to "
    "(docs/streams.md), joined by when each minute had arrived. Binance and OKX push at most one a "
    "symbol and second: each exchange is compared with its own past, and amounts are lower bounds."
)
_OWN = (
    "A column of the bars files beyond time, open, high, low, close and volume is a feature where "
    "the setting columns names it. The value in a bar's row is taken as known at that bar's CLOSE: "
    "if it became known later, was revised since or is of the bar to come, then the evaluation "
    "looks ahead, every figure is too good, and nothing here can notice it. Shift such a column by "
    "as many bars as it came late. An empty cell is unknown; nothing is filled in."
)
_OWN_CELLS = (
    "the column of the bars files, as it stands in the bar's row",
    "the files'",
    "1",
    "the cell is empty",
)
_NO_CELLS = ("no feature of this release", "unknown", "unknown", "always")

_EXAMPLE = """```
make nightly ARGS="-P bars=/path/to/folder -P columns=vix,mood"
```

or `columns = "vix,mood"` in `brain.toml`, or `BRAIN_COLUMNS=vix,mood`. A feature has its column's
name in letters, digits, `_`, `-` and `.`; other signs become `_` (`Adj Close` is `Adj_Close`), and
case stays. Text, infinite numbers, a column that is there twice, that differs from the name by case
alone or that has the name of a feature above are refused. A symbol whose file lacks a column fails,
and the others go on. Columns that are there and not named are told in the log and on the symbol's
run.

The feature set's name tells its own columns, `bars-1+own(mood,vix)`: with other columns a stored
recipe doesn't fit and is searched anew. A stored version is explained on the columns that it was
trained on, whatever the settings name today. Candles that are collected from exchanges have no
columns of your own.
"""


def features_document() -> str:
    """The dictionary in Markdown."""
    notation = "".join(f"- `{word}`: {meaning}.\n" for word, meaning in NOTATION.items())
    return (
        "# The features\n\n"
        "<!-- by python -m analysis.dictionary > docs/features.md -->\n\n"
        f"{_INTRODUCTION}\n\nIn the formulas, whose lengths are in bars:\n\n{notation}\n"
        f"## Of bars\n\n{_BARS}\n\n{_table(BAR_ENTRIES)}\n"
        f"## Of funding and open interest\n\n{_MARKET}\n\n{_table(MARKET_ENTRIES)}\n"
        f"## Of sentiment\n\n{_SENTIMENT}\n\n{_table(SENTIMENT_ENTRIES)}\n"
        f"## Of liquidations\n\n{_LIQUIDATIONS}\n\n{_table(LIQUIDATION_ENTRIES)}\n"
        f"## Columns of your own\n\n**{_OWN}**\n\n{_EXAMPLE}"
    )


def _table(entries: Sequence[Entry]) -> str:
    lines = [_COLUMNS, ("---",) * len(_COLUMNS)]
    lines += [(f"`{e.name}`", *_cells(e)) for e in entries]
    # A bar in a cell would end it.
    return "".join(f"| {' | '.join(c.replace('|', '&#124;') for c in line)} |\n" for line in lines)


def _cells(entry: Entry) -> tuple[str, str, str, str]:
    return entry.formula, entry.unit, str(entry.look_back), entry.unknown


def features_page(names: Iterable[str], own: Iterable[str], *, title: str) -> str:
    """The dictionary of these features as a page.

    Args:
        names: of the features, in the order of the page.
        own: those of them that are columns of the bars files.
        title: of the page.
    """
    entries = {entry.name: _cells(entry) for entry in ENTRIES}
    columns = dict.fromkeys(own, _OWN_CELLS)
    entries |= columns
    return render(
        _TEMPLATE,
        title=title,
        introduction=_INTRODUCTION,
        notation=NOTATION,
        own=_OWN if columns else "",
        columns=_COLUMNS,
        lines=[(name, entries.get(name, _NO_CELLS)) for name in names],
    )


_TEMPLATE = """{% extends "page" %}
{% block style %}
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .92em; }
dl { columns: 2 420px; } dt { float: left; clear: left; margin-right: .5rem; }
dd { margin: 0 0 .3rem; color: #4a525c; break-inside: avoid; }
{% endblock %}
{% block body %}
<h1>{{ title }}</h1>
<p>{{ introduction }} The words of the formulas are explained below the table.</p>
{% if own %}<p><strong>{{ own }}</strong></p>{% endif %}
<table>
<thead><tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr></thead>
<tbody>
{% for name, cells in lines %}
<tr id="{{ name }}"><td class="name"><code>{{ name }}</code></td>
<td><code>{{ cells[0] }}</code></td>
{% for cell in cells[1:] %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
<h2>In the formulas</h2>
<p>Lengths are in bars.</p>
<dl>
{% for word, meaning in notation.items() %}
<dt><code>{{ word }}</code></dt><dd>{{ meaning }}</dd>
{% endfor %}
</dl>
{% endblock %}
"""


if __name__ == "__main__":
    sys.stdout.write(features_document())
