"""The state of a contest as a document, exact to the last digit: it goes in where it came out."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain.errors import BrainError, LibraryError
from registry.promotion.boundary import Rule
from registry.promotion.budget import Start
from registry.promotion.contest import Contest
from registry.promotion.groups import Groups
from registry.promotion.posts import Post, Term
from registry.promotion.rollback import Watch
from registry.promotion.sums import Sums
from registry.promotion.trial import Trial

__all__ = ["from_json", "to_json"]

_LAYOUT = 1


def to_json(contest: Contest) -> str:
    """The state of a contest, as compact JSON."""
    document = {
        "layout": _LAYOUT,
        "symbols": contest.groups.symbols,
        "regimes": contest.groups.regimes,
        "lines": contest.lines,
        "champions": contest.champions.tolist(),
        "day": contest.day,
        "rule": asdict(contest.rule),
        "trials": [_trial(trial) for trial in contest.trials],
        "posts": [_post(post) for post in contest.posts],
        "starts": [asdict(start) for start in contest.starts],
        "terms": [asdict(term) | {"cells": term.cells.tolist()} for term in contest.terms],
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def from_json(text: str) -> Contest:
    """The inverse of :func:`registry.promotion.state.to_json`.

    Raises:
        LibraryError: the text is no state of a contest.
    """
    try:
        d = json.loads(text)
        if d["layout"] != _LAYOUT:
            raise LibraryError(f"layout {d['layout']} is not {_LAYOUT}; take a newer program")
        rule = Rule(**(d["rule"] | {"weights": tuple(d["rule"]["weights"])}))
        return Contest(
            Groups(tuple(d["symbols"]), tuple(d["regimes"])),
            tuple(d["lines"]),
            np.array(d["champions"], dtype=np.int64),
            d["day"],
            rule,
            tuple(_trial_of(entry) for entry in d["trials"]),
            tuple(_post_of(entry) for entry in d["posts"]),
            tuple(Start(**entry) for entry in d["starts"]),
            tuple(
                Term(**(entry | {"cells": np.array(entry["cells"], dtype=bool)}))
                for entry in d["terms"]
            ),
        )
    except (ValueError, TypeError, KeyError, AttributeError, BrainError) as error:
        raise LibraryError(
            f"the state of a contest can't be read ({error}): {text[:80]!r}; "
            "add its nights again from the first"
        ) from error


_SUMS = ("squares", "count", "total", "variance", "active", "before")


def _sums(sums: Sums | None) -> dict[str, Any] | None:
    if sums is None:
        return None
    return {name: getattr(sums, name).tolist() for name in _SUMS} | {"nights": sums.nights}


def _sums_of(entry: dict[str, Any]) -> Sums:
    return Sums(**{name: _floats(entry[name]) for name in _SUMS}, nights=entry["nights"])


def _floats(values: list[float]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "line": trial.line,
        "level": trial.level,
        "recipes": trial.recipes,
        "z": trial.z.tolist(),
        "weight": trial.weight,
        "confirmation": trial.confirmation.tolist(),
        "live": _sums(trial.live),
        "backtest": _sums(trial.backtest),
    }


def _trial_of(entry: dict[str, Any]) -> Trial:
    backtest = entry["backtest"]
    return Trial(
        **{name: entry[name] for name in ("line", "level", "recipes", "weight")},
        z=_floats(entry["z"]),
        confirmation=_floats(entry["confirmation"]),
        live=_sums_of(entry["live"]),
        backtest=None if backtest is None else _sums_of(backtest),
    )


def _post(post: Post) -> dict[str, Any]:
    watch = post.watch
    return {
        "line": post.line,
        "group": post.group,
        "before": post.before.tolist(),
        "cells": post.cells.tolist(),
        "sums": _sums(watch.sums),
        **{name: getattr(watch, name).tolist() for name in _WATCH},
    }


_WATCH = ("fall", "shortfall", "promise")


def _post_of(entry: dict[str, Any]) -> Post:
    watch = Watch(_sums_of(entry["sums"]), *(_floats(entry[name]) for name in _WATCH))
    return Post(
        entry["line"],
        entry["group"],
        np.array(entry["before"], dtype=np.int64),
        np.array(entry["cells"], dtype=bool),
        watch,
    )
