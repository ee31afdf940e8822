"""Fields of a publisher's answers; no error quotes a value, which may be somebody's post."""

from __future__ import annotations

from typing import Any

import pandas as pd

from brain.errors import PublisherShapeError

__all__ = ["number", "records", "shape_error", "text", "time", "value"]

# No publisher is older, and no post is of the future.
_FIRST, _LAST = pd.Timestamp("2000-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")


def shape_error(service: str, field: str, difference: str) -> PublisherShapeError:
    """The error that a field is not of the documented shape."""
    return PublisherShapeError(
        f"{service}: the field {field!r} {difference}; the publisher has changed its answers, or "
        "something else answers in its place: compare with its documentation, update the client"
    )


def value(service: str, answer: Any, *path: str, optional: bool = False) -> Any:
    """The value below a path of names; None where an optional one is missing."""
    for depth, name in enumerate(path):
        if not isinstance(answer, dict) or name not in answer:
            if optional and isinstance(answer, dict | None):
                return None
            place = ".".join(path[: depth + 1])
            raise shape_error(service, place, "is missing")
        answer = answer[name]
    return answer


def records(service: str, answer: Any, *path: str, optional: bool = False) -> list[dict[str, Any]]:
    """The list of objects below a path of names; none where an optional one is missing."""
    rows = value(service, answer, *path, optional=optional)
    if rows is None and optional:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise shape_error(service, ".".join(path), f"is no list of objects, {_type(rows)} came")
    return rows


def text(service: str, row: Any, name: str, *, optional: bool = False) -> str:
    """A field of text; empty where an optional one is missing or null."""
    content = value(service, row, name, optional=optional)
    if content is None and optional:
        return ""
    if not isinstance(content, str):
        raise shape_error(service, name, f"is no text, {_type(content)} came")
    return content


def number(service: str, row: Any, name: str) -> float:
    """A field of a number, or of text that is one."""
    content = value(service, row, name)
    try:
        if isinstance(content, bool):
            raise ValueError
        return float(content)
    except (TypeError, ValueError):
        raise shape_error(service, name, f"is no number, {_type(content)} came") from None


def time(service: str, row: Any, name: str) -> pd.Timestamp:
    """A field of a moment: ISO 8601 with a zone, or seconds since 1970."""
    content = value(service, row, name)
    try:
        if isinstance(content, str) and not content.replace(".", "", 1).isdigit():
            moment = pd.Timestamp(content)
            moment = moment.tz_convert("UTC")
        else:
            moment = pd.Timestamp(number(service, row, name), unit="s", tz="UTC")
    except (TypeError, ValueError, OverflowError):
        raise shape_error(service, name, f"is no moment, {_type(content)} came") from None
    if not _FIRST <= moment < _LAST:
        raise shape_error(service, name, "is no moment of our time")
    return moment.as_unit("us")


def _type(content: object) -> str:
    return "null" if content is None else type(content).__name__
