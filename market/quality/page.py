"""The quality report as one HTML file that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from brain.pages import render
from brain.series.times import when
from market.quality.record import (
    COUNTS,
    TOLERABLE,
    Coverage,
    Measure,
    QualityRecord,
    RecordedGap,
)

__all__ = ["GAPS_PER_PAGE", "GAPS_PER_SERIES", "page"]

#: Blocks of a strip: over more days than that a block is of several.
_BLOCKS = 500
#: Gaps of one series that the page lists; all of them are in the JSON file.
GAPS_PER_SERIES = 20
#: Gaps that the page lists of all series; MLflow's viewer hangs on pages near 10 MB.
GAPS_PER_PAGE = 1000

_DAY = pd.Timedelta(days=1)
_WORST_FIRST = ("poor", "unknown", "look", "good")
# What a block of days says, by what was measured and its state.
_WORDS: dict[tuple[Measure, str], str] = {
    ("grid", "whole"): "all rows",
    ("grid", "part"): "some rows, {share} of the rows",
    ("grid", "none"): "no row",
    ("rows", "came"): "rows came",
    ("rows", "quiet"): "no row, which need be no fault",
    ("time", "whole"): "listened to",
    ("time", "part"): "listened to {share} of the time",
    ("time", "none"): "not listened to",
}


def page(records: Sequence[QualityRecord], title: str) -> str:
    """The page; records in the order of severity, then by name."""
    ordered = sorted(records, key=lambda r: (_WORST_FIRST.index(r.severity), r.name))
    first, days = _axis(records)
    return render(
        _TEMPLATE,
        title=title,
        rows=[(record, _cells(record), _strip(record.coverage, first)) for record in ordered],
        counts=COUNTS,
        days=days,
        first=f"{first:%Y-%m-%d}" if days else "",
        last=f"{first + (days - 1) * _DAY:%Y-%m-%d}" if days else "",
        gap_lists=_gap_lists(ordered),
        when=when,
        minute=_minute,
    )


def _minute(time: pd.Timestamp | None) -> str:
    return "–" if time is None else f"{time:%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class _Block:
    """Consecutive days of one state, see :data:`_WORDS`; ``x``, ``width`` in days."""

    x: int
    width: int
    state: str
    title: str


def _gap_lists(
    records: Sequence[QualityRecord],
) -> list[tuple[QualityRecord, tuple[RecordedGap, ...], int]]:
    """The gaps to list, by series, and how many of a series are left out."""
    lists, room = [], GAPS_PER_PAGE
    for record in records:
        gaps = record.recorded_gaps[: min(GAPS_PER_SERIES, room)]
        room -= len(gaps)
        if record.recorded_gaps:
            lists.append((record, gaps, len(record.recorded_gaps) - len(gaps)))
    return lists


def _axis(records: Sequence[QualityRecord]) -> tuple[pd.Timestamp, int]:
    """The first day and the number of days of all strips together."""
    coverages = [record.coverage for record in records if record.coverage is not None]
    if not coverages:
        return pd.Timestamp(0, tz="UTC"), 0
    first = min(coverage.first for coverage in coverages)
    return first, max((c.first - first) // _DAY + len(c.shares) for c in coverages)


def _strip(coverage: Coverage | None, first: pd.Timestamp) -> list[_Block]:
    if coverage is None:
        return []
    number, blocks = len(coverage.shares), []
    width = -(-number // _BLOCKS)  # days of a block
    shares = [coverage.shares[day : day + width] for day in range(0, number, width)]
    begin = (coverage.first - first) // _DAY
    states = [_state(stretch, coverage.measure) for stretch in shares]
    for state, group in groupby(zip(states, shares, strict=True), key=lambda pair: pair[0]):
        stretch = [share for _, part in group for share in part]
        words = _WORDS[coverage.measure, state].format(share=_percent(stretch))
        blocks.append(_block(begin, len(stretch), state, words, first))
        begin += len(stretch)
    return blocks


def _block(x: int, width: int, state: str, words: str, first: pd.Timestamp) -> _Block:
    begin, end = first + x * _DAY, first + (x + width - 1) * _DAY
    span = f"{begin:%Y-%m-%d}" + (f" to {end:%Y-%m-%d}" if end > begin else "")
    return _Block(x, width, state, f"{span}: {words}")


def _state(shares: Sequence[float], measure: Measure) -> str:
    """The state of consecutive days together."""
    if measure == "rows":
        return "came" if max(shares) > 0 else "quiet"
    if min(shares) >= 1:
        return "whole"
    return "part" if max(shares) > 0 else "none"


def _percent(shares: Sequence[float]) -> str:
    """The mean, never 0 or 100 % where it is neither."""
    mean = sum(shares) / len(shares)
    return f"{mean:.0%}" if 0.005 <= mean < 0.995 else "nearly all" if mean > 0.5 else "under 1%"


def _cells(record: QualityRecord) -> list[tuple[str, str]]:
    """The counts as text, with the CSS class of their colour."""
    cells = []
    for name in COUNTS:
        value: int | None = getattr(record, name)
        if value is None:
            cells.append(("–", "unknown"))
            continue
        fault = value and name not in ("rows", "expected")
        serious = name in ("duplicates", "swapped") or value > TOLERABLE * max(record.rows or 0, 1)
        colour = "" if not fault else "poor" if serious else "look"
        cells.append((f"{value:,}", colour if name != "gaps" else "look" if fault else ""))
    return cells


_TEMPLATE = """{% extends "page" %}
{% block style %}
:root { --whole: #2a9d8f; --part: #e9b949; --none: #cf4456; --came: #8cc9c1; --quiet: #c9d0d8; }
.wide { overflow-x: auto; }
.note div { max-width: calc(100vw - 4.2rem); position: sticky; left: .45rem; }
th, td { padding: .35rem .45rem; }
.badge { display: inline-block; min-width: 4.6rem; padding: 0 .2rem; text-align: center;
         border-radius: .6rem; font-size: .82rem; font-weight: 600; }
.badge.good { background: #d8f0e6; color: #14593f; }
td.look, .badge.look { background: #fdf0cc; color: #6b4c00; }
td.poor, .badge.poor { background: #f9d9dd; color: #8a1626; }
td.unknown { color: #6a727c; } .badge.unknown { background: #e6e8eb; color: #4a525c; }
svg { display: block; width: 100%; height: 16px; background: #eef0f2; }
svg .whole { fill: var(--whole); } svg .part { fill: var(--part); } svg .none { fill: var(--none); }
svg .came { fill: var(--came); } svg .quiet { fill: var(--quiet); }
.strips { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1rem; }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; }
.keys .key { margin: 0 .35rem 0 0; vertical-align: -.1rem; }
.key.whole { background: var(--whole); } .key.part { background: var(--part); }
.key.none { background: var(--none); } .key.came { background: var(--came); }
.key.quiet { background: var(--quiet); } .key.out { background: #eef0f2; border: 1px solid #ccd; }
/* MLflow shows the page in a frame of some 850 px. */
@media (max-width: 1350px) {
  td.name { white-space: normal; min-width: 5.8rem; } td.name:first-child { min-width: 7.5rem; }
}
@media (max-width: 700px) {
  body { padding: 0 .8rem; } .note div { max-width: calc(100vw - 2.6rem); }
  .strips { grid-template-columns: minmax(0, 1fr); gap: .1rem; } svg { margin-bottom: .5rem; }
}
{% endblock %}
{% block body %}
<h1>Quality of market series</h1>
<p>{{ title }}</p>
<p>Nothing was changed in the data. A flagged row is to be looked at; some will be right.
“–” is unknown, which is not 0.</p>
<h2>Series</h2>
<div class="wide"><table>
<thead><tr><th>series</th><th>state</th><th>first row (UTC)</th><th>last row (UTC)</th>
{% for name in counts %}<th class="n">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for record, cells, _ in rows %}
<tr class="noted"><td class="name">{{ record.name }}</td>
<td><span class="badge {{ record.severity }}">{{ record.severity }}</span></td>
<td class="name">{{ minute(record.first) }}</td><td class="name">{{ minute(record.last) }}</td>
{% for text, colour in cells %}<td class="n {{ colour }}">{{ text }}</td>{% endfor %}
</tr>
<tr class="note">
<td colspan="{{ counts | length + 4 }}"><div>{{ record.note }}</div></td></tr>
{% endfor %}
</tbody>
</table></div>
<h2>Coverage by day (UTC)</h2>
<p class="keys"><span><i class="key whole"></i>all rows, or listened to</span>
<span><i class="key part"></i>some rows, or part of the time</span>
<span><i class="key none"></i>no row, or not listened to</span>
<span><i class="key came"></i>rows, as they come</span>
<span><i class="key quiet"></i>no row where none need be</span>
<span><i class="key out"></i>nothing belongs there, or not known</span></p>
<p>Point at a stretch to read it.</p>
<div class="strips">
{% for record, _, blocks in rows %}
<div>{{ record.name }}</div>
<svg viewBox="0 0 {{ [days, 1] | max }} 1" preserveAspectRatio="none" role="img"
 aria-label="coverage of {{ record.name }}">
{% for b in blocks %}
<rect class="{{ b.state }}" x="{{ b.x }}" y="0" width="{{ b.width }}" height="1">
<title>{{ b.title }}</title></rect>
{% endfor %}
</svg>
{% endfor %}
<div></div><div class="axis"><span>{{ first }}</span><span>{{ last }}</span></div>
</div>
<h2>Gaps</h2>
{% if gap_lists %}
<div class="wide"><table>
<thead><tr><th>series</th><th>from</th><th>until</th><th class="n">rows</th><th>reason</th></tr>
</thead>
<tbody>
{% for record, gaps, more in gap_lists %}
{% for gap in gaps %}
<tr><td class="name">{{ record.name }}</td><td class="name">{{ when(gap.start) }}</td>
<td class="name">{{ when(gap.end) }}</td>
<td class="n">{{ "–" if gap.count is none else "{:,}".format(gap.count) }}</td>
<td>{{ gap.reason }}</td></tr>
{% endfor %}
{% if more > 0 %}
<tr><td class="name">{{ record.name }}</td>
<td colspan="4">and {{ more }} more, in quality.json</td></tr>
{% endif %}
{% endfor %}
</tbody>
</table></div>
{% else %}
<p>No gap is recorded.</p>
{% endif %}
{% endblock %}
"""
