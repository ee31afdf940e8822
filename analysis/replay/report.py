"""A replay for people and programs: a table, a page and a document."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from analysis.replay.figures import Comparison, StrategyFigures
from brain.brief import Brief
from brain.pages import render
from brain.records import Estimate
from brain.text import count, finite, plus_minus

if TYPE_CHECKING:
    from brain.work import Failure

__all__ = ["ReplayReport"]

_COLUMNS = (
    *("net Sharpe", "total, %", "beyond the champions, %", "largest fall, %"),
    *("turnover a night", "nights invested"),
)
_DECISION = ("night", "contest", "line", "outcome", "group", "reason")


@dataclass(frozen=True, repr=False)
class ReplayReport(Brief):
    """What a replay came to.

    Attributes:
        title, subtitle: which replay it is.
        comparison: of the strategies.
        decisions: of all contests but those that leave a line on trial: ``contest``, ``night``,
            ``line``, ``outcome``, ``group``, ``reason``; in their order.
        nights: documents of all nights.
        failures: of all nights.
        library: where champions, trials and files of the nights are: a tracking URI.
    """

    title: str
    subtitle: str
    comparison: Comparison
    decisions: Sequence[Mapping[str, Any]]
    nights: Sequence[Mapping[str, Any]]
    failures: Sequence[Failure]
    library: str

    @property
    def caption(self) -> str:
        """What the figures are."""
        nights, unknown = len(self.comparison.nights), self.comparison.unknown
        left = f"; {count(unknown, 'night')} of unknown funding left out" if unknown else ""
        return (
            f"{count(nights, 'night')}, {count(len(self.comparison.symbols), 'symbol')}, after "
            f"costs and funding{left}; ± one standard error, by blocks of "
            f"{count(self.comparison.block, 'night')}; net Sharpe annualised"
        )

    def table(self) -> Table:
        """A row a strategy."""
        table = Table(title=self.title, caption=self.caption)
        table.add_column("")
        for column in _COLUMNS:
            table.add_column(column, justify="right")
        for figures in self.comparison.figures:
            table.add_row(figures.name, *_row(figures))
        return table

    def decisions_table(self) -> Table | str:
        """A row a decision; how often champions had which size."""
        if not self.decisions:
            return f"Nothing was promoted, dismissed or rolled back; {self.sizes}."
        table = Table(title="Decisions", caption=self.sizes)
        for column in _DECISION:
            table.add_column(column, overflow="fold")
        for entry in self.decisions:
            table.add_row(*(str(entry[column]) for column in _DECISION))
        return table

    @property
    def sizes(self) -> str:
        """How often champions had which size, in words."""
        sizes = Counter(
            champion["size"]
            for night in self.nights
            for symbol in night["symbols"].values()
            for champion in symbol["champions"].values()
        )
        every = sum(sizes.values())
        if not every:
            return "no cell had a champion on any night"
        flat, unjudged = sizes[0.0], sizes[None]
        rest = every - flat - unjudged
        return (
            f"of {every} champions of a cell and a night {rest} had a size above 0, "
            f"{flat} abstained or were to be looked at, {unjudged} were not judged"
        )

    def document(self) -> dict[str, Any]:
        """For JSON; unknown is null."""
        comparison = self.comparison
        return {
            "title": self.title,
            "subtitle": self.subtitle,
            "library": self.library,
            "nights": len(comparison.nights),
            "unknown_nights": comparison.unknown,
            "first": comparison.nights.index[0].isoformat(),
            "last": comparison.nights.index[-1].isoformat(),
            "block": comparison.block,
            "symbols": list(comparison.symbols),
            "strategies": [_document(figures) for figures in comparison.figures],
            "sizes": self.sizes,
            "decisions": [dict(entry) for entry in self.decisions],
            "failures": {failure.what: str(failure.error) for failure in self.failures},
        }

    def metrics(self) -> dict[str, float]:
        """Those that are known, by strategy and name."""
        values = {
            f"{figures.name}/{name}": estimate.value
            for figures in self.comparison.figures
            for name, estimate in (("net_sharpe", figures.sharpe), ("total", figures.total))
        }
        return {key: value for key, value in values.items() if math.isfinite(value)}

    def page(self, picture: Path) -> str:
        """The same on a page of its own.

        Args:
            picture: the figure, a PNG file, which the page has in it.
        """
        return render(
            _TEMPLATE,
            title=self.title,
            subtitle=self.subtitle,
            caption=self.caption,
            columns=_COLUMNS,
            rows=[(figures.name, _row(figures)) for figures in self.comparison.figures],
            picture=base64.b64encode(picture.read_bytes()).decode(),
            decisions=self.decisions,
            sizes=self.sizes,
            failures=self.failures,
            library=self.library,
        )

    def write(self, folder: Path) -> None:
        """Write page, document, figure and the profits of the nights into a folder."""
        from analysis.png import write_png
        from analysis.replay.plot import replay_figure
        from brain.artifacts import REPLAY, REPLAY_FIGURE, REPLAY_NIGHTS, REPLAY_PAGE

        figure = replay_figure(self.comparison, self.title, self.subtitle)
        write_png(figure, folder / REPLAY_FIGURE)
        (folder / REPLAY_PAGE).write_text(self.page(folder / REPLAY_FIGURE))
        (folder / REPLAY).write_text(json.dumps(self.document(), indent=1, allow_nan=False))
        self.comparison.nights.rename_axis("night").to_parquet(folder / REPLAY_NIGHTS)


def _row(figures: StrategyFigures) -> tuple[str, ...]:
    def percent(estimate: Estimate) -> str:
        return plus_minus(100.0 * estimate.value, 100.0 * estimate.error, "+")

    return (
        plus_minus(figures.sharpe.value, figures.sharpe.error, "+"),
        percent(figures.total),
        percent(figures.less),
        percent(figures.drawdown).lstrip("+"),
        f"{figures.turnover:.2f}",
        f"{figures.invested:.0%}",
    )


def _document(figures: StrategyFigures) -> dict[str, Any]:
    def known(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: known(part) for name, part in value.items()}
        return finite(value)

    return dict(known(asdict(figures)))


_TEMPLATE = """{% extends "page" %}
{% block style %}
img { max-width: 100%; height: auto; } .wide { overflow-x: auto; }
{% endblock %}
{% block body %}
<h1>{{ title }}</h1>
<p>{{ subtitle }}</p>
<p><img alt="Summed net profits of each strategy, with their errors at the end"
 src="data:image/png;base64,{{ picture }}"></p>
<div class="wide"><table>
<tr><th></th>{% for column in columns %}<th class="n">{{ column }}</th>{% endfor %}</tr>
{% for name, row in rows %}
<tr><td class="name">{{ name }}</td>
{% for cell in row %}<td class="n">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
<p>{{ caption }}. Total, its difference to following the champions at their sizes, and the largest
fall of the summed profits are in percent of a constant capital, which is shared out to the symbols
alike.</p>
<h2>Decisions</h2>
{% if decisions %}
<div class="wide"><table>
<tr><th>night</th><th>contest</th><th>line</th><th>outcome</th><th>group</th><th>why</th></tr>
{% for one in decisions %}
<tr><td class="name">{{ one.night }}</td><td>{{ one.contest }}</td><td>{{ one.line }}</td>
<td>{{ one.outcome }}</td><td>{{ one.group }}</td><td>{{ one.reason }}</td></tr>
{% endfor %}
</table></div>
{% else %}
<p>Nothing was promoted, dismissed or rolled back.</p>
{% endif %}
<p>Sizes: {{ sizes }}.</p>
{% if failures %}
<h2>Failures</h2>
{% for failure in failures %}<p>{{ failure.what }}: {{ failure.error }}</p>{% endfor %}
{% endif %}
<p>Every night with its models, trials and files is in the replay's own library,
<code>{{ library }}</code>.</p>
{% endblock %}
"""
