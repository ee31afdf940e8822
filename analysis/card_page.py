"""A version's model card: what was decided of its line, and what it was made of, on one page.

Made of the version's certificate alone. MLflow shows it in a frame that may not lead anywhere, so
it names files and has no links.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brain.artifacts import CERTIFICATE, DRIFT, EVIDENTLY_REPORT, EXPLANATION, PROFIT_FIGURE
from brain.model_keys import ahead
from brain.naming import Policy
from brain.pages import render
from brain.text import break_even, count, plus_minus

__all__ = ["card_page"]

_UNKNOWN = "unknown"
_FIRST = "net_sharpe"
#: Of an evaluation, after the net Sharpe ratio and the break-even cost.
_ESTIMATES = {
    "gross_sharpe": "gross Sharpe",
    "delayed_sharpe": "one bar later",
    "long_sharpe": "always long",
    "reversal_sharpe": "reversal",
    "hit_rate": "hit rate",
    "rank_ic": "rank IC",
    "max_drawdown": "max drawdown",
}
_EVALUATION_COLUMNS = (
    *("regime", "net Sharpe", "break-even"),
    *_ESTIMATES.values(),
    *("positions", "bars, episodes"),
)
_GROUP_COLUMNS = (
    *("group", "nights", "live sum", "backtest sum", "score", "boundary", "lacks"),
    *("Sharpe needed", "confirmed"),
)
_NO_CONTEST = {
    Policy.TRIAL: (
        "No night with this line is closed yet. The contest of lines begins with the first closed "
        "night; until then the prior's family is champion of each regime, without a size."
    ),
    Policy.PROVISIONAL: (
        "Champions are named by the provisional policy, from one night's walk-forward. There is no "
        "trial: of lines without an edge, one is named within 180 nights in a fifth of histories."
    ),
    Policy.COMPOSITE: (
        "Champions are named by the composite score of the stored evidence. There is no trial: of "
        "lines without an edge, one is named within 180 nights in nearly every history."
    ),
}


def card_page(document: Mapping[str, Any]) -> str:
    """The page.

    Args:
        document: a version's certificate, see :mod:`analysis.certificates`.
    """
    version, contest = document["version"], document["contest"]
    return render(
        _TEMPLATE,
        title=f"{version['model_id']}, {version['family']} for {version['symbol']}",
        night=document["night"],
        certificate=CERTIFICATE,
        standing=_standing(document),
        purpose=_purpose(document),
        champions=_champions(document),
        without_contest=None if contest else _NO_CONTEST[Policy(document["policy"])],
        decided=contest["night"] if contest else None,
        parts=list(_parts(contest)) if contest else [],
        evidence=_evidence(contest["evidence"]) if contest else None,
        data=list(_data(document["data"])),
        gaps=_gaps(document["data"]),
        training=sorted(document["training"].items()),
        evaluation_columns=_EVALUATION_COLUMNS,
        evaluation=list(_evaluation(document["evaluation"])),
        explanation=_explanation(document["explanation"]),
        drift=_drift(document["drift"]),
        limits=list(_limits(document)),
        digests=list(_digests(document)),
        group_columns=_GROUP_COLUMNS,
        explanation_folder=EXPLANATION,
        report=f"{DRIFT}/{EVIDENTLY_REPORT}",
        profit=PROFIT_FIGURE,
    )


@dataclass(frozen=True)
class _Group:
    """A group's line; ``cells`` belong to the columns."""

    cells: Sequence[str]
    own: bool


@dataclass(frozen=True)
class _Part:
    """A decision: a title, sentences, and what its groups have."""

    title: str
    sentences: Sequence[str]
    changes: Sequence[str]
    groups: Sequence[_Group]


def _number(value: float | None, digits: int = 2) -> str:
    return _UNKNOWN if value is None else f"{value:.{digits}f}"


def _standing(document: Mapping[str, Any]) -> str:
    own = document["version"]["model_id"]
    regimes = [c["regime"] for c in document["champions"] if c["model_id"] == own]
    if regimes:
        return f"Champion of {document['version']['symbol']} in {', '.join(regimes)} volatility."
    return f"Champion of no regime of {document['version']['symbol']}."


def _purpose(document: Mapping[str, Any]) -> str:
    version = document["version"]
    return (
        f"It predicts the return of {version['symbol']} {ahead(version['horizon'])} at the close "
        f"of each {version['timeframe']} bar, over the volatility known then. A position rule "
        "takes a position where that is worth its costs. It is made for an executor that asks for "
        "the champion of the present volatility regime, and for nothing else."
    )


def _champions(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            champion["regime"],
            champion["model_id"],
            champion["line"] or champion["family"],
            _expected(champion["expected"]),
            _number(champion["confidence"]),
            "not judged" if champion["size"] is None else f"{champion['size']:.2g}",
            champion["why"],
        )
        for champion in document["champions"]
    ]


def _expected(expected: Mapping[str, float] | None) -> str:
    """The shrunken net Sharpe ratio, and its interval."""
    if expected is None:
        return _UNKNOWN
    return f"{expected['mean']:.2f} ({expected['low']:.2f} to {expected['high']:.2f})"


# --- the contest --------------------------------------------------------------------------------


def _parts(contest: Mapping[str, Any]) -> Iterator[_Part]:
    for decision in contest["appointments"]:
        yield _part(decision, f"Why it is champion, since {decision['night']}")
    for watch in contest["watches"]:
        yield _Part(
            f"Watched in {watch['group']}, {count(watch['nights'], 'night')} so far",
            [
                f"Before it was {', '.join(watch['before'])}; it was promoted for a mean of "
                f"{_number(watch['promise'])} a night."
            ],
            watch["change"],
            [],
        )
    for decision in contest["decisions"]:
        yield _part(decision, f"Its own trial: {decision['outcome']}")
    for rival in contest["rivals"]:
        yield _part(rival, f"On trial against it: {rival['line']}")


def _part(decision: Mapping[str, Any], title: str) -> _Part:
    sentences = [f"{decision['line']} {decision['reason']}."]
    if decision["against"]:
        sentences.append(f"Against {', '.join(decision['against'])}.")
    if decision["level"] is not None:
        weight = decision["weight"]
        backtest = f"count {weight:g} each" if weight else "do not count"
        sentences.append(
            f"Level {decision['level']:.3%}; K = {decision['recipes']:.1f} recipes were tried on "
            f"the backtest's nights, which {backtest}."
        )
    return _Part(
        title, sentences, decision["change"], [_group(g, decision) for g in decision["groups"]]
    )


def _group(entry: Mapping[str, Any], decision: Mapping[str, Any]) -> _Group:
    ratio, needed = entry["ratio"], entry["confirmation"]
    confirmed = "not needed" if needed is None else f"{_number(ratio)} of {needed:.2f}"
    cells = (
        entry["group"],
        str(entry["nights"]),
        _number(entry["live"]),
        _number(entry["backtest"]),
        _number(entry["score"]),
        _number(entry["boundary"]),
        _number(entry["short"]),
        _number(entry["needed_sharpe"], 1),
        confirmed,
    )
    return _Group(cells, entry["group"] == decision["group"])


def _evidence(evidence: Mapping[str, Any]) -> str:
    nights = evidence["nights"]
    return (
        f"Counted are {count(nights['live'], 'live night')} of the line on this symbol and "
        f"{count(nights['backtest'], 'night')} of its backtest, until {evidence['until']}."
    )


# --- the model ----------------------------------------------------------------------------------


def _data(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "bars", f"{data['bars']} of {data['timeframe']}, {data['calendar']}"
    yield "from, to", f"{data['first']}, {data['last']} (close)"
    yield "missing bars", str(data["missing_bars"])
    yield "source", data["source"] or _UNKNOWN
    yield "own columns", ", ".join(data["own_columns"]) or "none"
    share = data["missing_values"]
    yield (
        "missing feature values",
        _UNKNOWN if share is None else f"{share:.2%} of the training rows",
    )
    for feature, part in data["missing_by_feature"].items():
        yield f"… of {feature}", f"{part:.2%}"


def _gaps(data: Mapping[str, Any]) -> list[str]:
    """What was repaired, left out or is to be mistrusted."""
    unused = [f"column {name} is left out" for name in data["unused_columns"]]
    return [*map(str, data["repairs"]), *map(str, data["findings"]), *unused]


def _evaluation(evaluation: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for regime, entry in evaluation.items():
        estimates = entry["estimates"]
        sizes = ", ".join("?" if entry[k] is None else str(entry[k]) for k in ("bars", "episodes"))
        yield (
            regime,
            plus_minus(**estimates[_FIRST]),
            _even(estimates["break_even_bp"]["value"]),
            *(plus_minus(**estimates[name]) for name in _ESTIMATES),
            _UNKNOWN if entry["positions"] is None else str(entry["positions"]),
            sizes,
        )


def _even(points: float | None) -> str:
    return _UNKNOWN if points is None else break_even(points)


def _explanation(explanation: Mapping[str, Any] | None) -> list[tuple[str, list[str]]]:
    if explanation is None:
        return []
    return [
        (method, [f"{f['feature']} {_share(f['share'])}" for f in features])
        for method, features in explanation["first_features"].items()
    ]


def _share(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{share:.1%}"


def _drift(drift: Mapping[str, Any] | None) -> str:
    if drift is None:
        return "Its recent bars were not compared with its past tonight."
    names = ", ".join(drift["drifted"]) or "none"
    return (
        f"{len(drift['drifted'])} of {drift['judged']} features that can be judged have drifted in "
        f"the last {drift['recent']['rows']} bars: {names}."
    )


def _limits(document: Mapping[str, Any]) -> Iterator[str]:
    """What is not to be believed of this version, then of any."""
    for regime, entry in document["evaluation"].items():
        where = "over all bars" if regime == "all" else f"in {regime}"
        if not entry["bars"]:
            yield f"{where}: it was not evaluated"
        elif not entry["beats_flat"]:
            yield "; ".join([f"{where}: not shown to beat flat", *entry["caveats"]])
    refit = document["version"]["refit"]
    yield f"refit check: {refit}" if refit else "its refit check is made when there are bars for it"
    yield "a line that is dismissed is not a worse one: an edge of +1 wins a third of its trials"
    yield "a group that is won need not have the edge in each of its cells"
    yield "nothing here says that an edge will stay"


def _digests(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    version, contest = document["version"], document["contest"]
    yield version["model_id"], version["digest"]
    for champion in document["champions"]:
        if champion["model_id"] != version["model_id"]:
            yield f"{champion['model_id']}, champion of {champion['regime']}", champion["digest"]
    yield "bars and series of tonight", document["data"]["digest"]
    if contest:
        yield f"evidence of {contest['contest']}", contest["evidence"]["digest"]


_TEMPLATE = """{% extends "page" %}
{% block style %}
body { max-width: 1180px; }
.wide { overflow-x: auto; } .wide table { font-size: .88rem; }
.wide th, .wide td { padding: .25rem .4rem; } .wide th.n { white-space: normal; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
ul { margin: .3rem 0; padding-left: 1.2rem; color: #4a525c; }
.standing { font-size: 1.1rem; color: #1b1f24; }
tr.own td { background: #eaf3ee; font-weight: 600; }
td.digest { font: .8rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; word-break: break-all; }
@media (max-width: 700px) { body { padding: 0 .7rem; margin: .8rem auto; } }
@media print {
  body { margin: 0; max-width: none; font-size: 10px; padding: 0; }
  .wide { overflow: visible; } .wide table { font-size: 8px; } th { position: static; }
  th, td { padding: .15rem .25rem; } h2, h3, tr { break-after: avoid; break-inside: avoid; }
}
{% endblock %}
{% macro table(columns, rows) %}
<div class="wide"><table>
<thead><tr>{% for c in columns %}<th{% if not loop.first %} class="n"{% endif %}>{{ c }}</th>
{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}
<tr>{% for cell in row %}<td class="{{ "name" if loop.first else "n" }}">{{ cell }}</td>
{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>
{% endmacro %}
{% macro pairs(rows, class="") %}
<div class="wide"><table><tbody>
{% for name, value in rows %}
<tr><td>{{ name }}</td><td class="{{ class }}">{{ value }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
{% block body %}
<h1>{{ title }}</h1>
<p class="standing">{{ standing }}</p>
<p>As of the night of {{ night }}. Every number of it is in {{ certificate }} beside this page.</p>
<h2>Purpose</h2>
<p>{{ purpose }}</p>
<h2>Decision</h2>
{% if champions %}
<div class="wide"><table>
<thead><tr><th>regime</th><th>champion</th><th class="n">net Sharpe to expect</th>
<th class="n">confidence</th><th class="n">size</th></tr></thead>
<tbody>
{% for regime, model_id, line, expected, confidence, size, why in champions %}
<tr><td class="name">{{ regime }}</td><td><div>{{ model_id }}</div><small>{{ line }}</small></td>
<td class="n">{{ expected }}</td><td class="n">{{ confidence }}</td>
<td class="n">{{ size }}</td></tr>
{% endfor %}
</tbody>
</table></div>
<ul>{% for c in champions %}<li><b>{{ c[0] }}</b>: {{ c[-1] }}</li>{% endfor %}</ul>
{% else %}
<p>The symbol has no champion.</p>
{% endif %}
{% if without_contest %}
<p>{{ without_contest }}</p>
{% else %}
<p>Decided on the nights until {{ decided }}. {{ evidence }} Sums are of X: a night's mean profit of
the group, the line's less the champion's, over its root mean square on earlier nights. The line
takes a group when its score reaches the boundary; "Sharpe needed" is the annual ratio of the
difference that would bring it there in the nights that are left.</p>
{% for part in parts %}
<h3>{{ part.title }}</h3>
{% for sentence in part.sentences %}<p>{{ sentence }}</p>{% endfor %}
{% if part.changes %}
<p>What would change it:</p>
<ul>{% for change in part.changes %}<li>{{ change }}</li>{% endfor %}</ul>
{% endif %}
{% if part.groups %}
<div class="wide"><table>
<thead><tr>{% for c in group_columns %}<th{% if not loop.first %} class="n"{% endif %}>{{ c }}</th>
{% endfor %}</tr></thead>
<tbody>
{% for group in part.groups %}
<tr{% if group.own %} class="own"{% endif %}>{% for cell in group.cells %}
<td class="{{ "name" if loop.first else "n" }}">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>
{% endif %}
{% endfor %}
{% endif %}
<h2>Data and its gaps</h2>
{{ pairs(data) }}
{% if gaps %}<ul>{% for gap in gaps %}<li>{{ gap }}</li>{% endfor %}</ul>
{% else %}<p>Nothing was repaired, and nothing is to be mistrusted.</p>{% endif %}
<h2>Training</h2>
{{ pairs(training) }}
<h2>Evaluation</h2>
<p>Out of sample, after costs, ± one standard error; the break-even cost is that of each unit traded
that would leave nothing.</p>
{{ table(evaluation_columns, evaluation) }}
<h2>Explanation</h2>
{% if explanation %}
{% for method, features in explanation %}
<p><b>{{ method }}</b>: {{ features | join(", ") }}</p>
{% endfor %}
{% else %}
<p>Only champions are explained.</p>
{% endif %}
<p>{{ drift }}</p>
<p>A champion's run has the pictures in {{ explanation_folder }}/, the data's comparison in
{{ report }} and its profit in {{ profit }}.</p>
<h2>Limits</h2>
<ul>{% for limit in limits %}<li>{{ limit }}</li>{% endfor %}</ul>
<h2>Digests</h2>
{{ pairs(digests, "digest") }}
{% endblock %}
"""
