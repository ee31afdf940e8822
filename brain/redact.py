"""Addresses without their secrets, fit for a message or a log. Needs the standard library alone."""

from __future__ import annotations

import re

__all__ = ["redact"]

# As SQLAlchemy parses an address: a password may hold any character but "@".
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^@\s]*@")
# Secrets in the query of an address.
_SECRET = re.compile(r"(?<=[?&])([^=&#\s]*(?:password|secret|token)[^=&#\s]*)=[^&#\s]*", re.I)


def redact(dsn: str) -> str:
    """A dsn, or a text that holds some, without passwords."""
    return _SECRET.sub(r"\1=***", _PASSWORD.sub(r"\1:***@", dsn))
