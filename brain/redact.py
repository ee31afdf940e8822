"""Addresses without their secrets, fit for a message or a log. Needs the standard library alone."""

from __future__ import annotations

import re

__all__ = ["redact"]

# As SQLAlchemy reads an address: a password may hold anything but "@". Then what stands in a query.
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^@\s]*@")
_SECRET = re.compile(r"(?<=[?&])([^=&#\s]*(?:password|secret|token)[^=&#\s]*)=[^&#\s]*", re.I)


def redact(dsn: str) -> str:
    """A dsn, or a text that holds some, without its passwords: fit for a message or a log."""
    return _SECRET.sub(r"\1=***", _PASSWORD.sub(r"\1:***@", dsn))
