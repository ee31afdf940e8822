"""Addresses that only one reading is possible of: their secrets are written percent-encoded.

Libraries take an address such as ``postgresql://me:p@ss@host`` apart at different places, and show
what they take for the host. Such an address is refused before any library sees it.
"""

from __future__ import annotations

import os
import re

from brain.errors import BrainError, SettingsError
from brain.redact import hide

__all__ = ["check_environment", "refuse_ambiguous"]

_ENVIRONMENT = re.compile(
    r"(?:HTTP|HTTPS|ALL|WS|WSS)_PROXY|AWS_ENDPOINT_URL(?:_S3)?|MLFLOW_S3_ENDPOINT_URL"
)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]+):(?://|/(?!/))")
# What RFC 3986 lets stand as it is, but for what lists and quotations end at.
_USER_INFO = re.compile(r"(?:[\w.~!$&()*+;=:-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_QUERY = re.compile(r"(?:[\w.-]+=(?:[\w.~!$()*+;:/?-]|%[0-9A-Fa-f]{2})*(?:&|$))*", re.ASCII)
_CURE = (
    "write user and password percent-encoded: @ as %40, / as %2F, : as %3A, ? as %3F, # as %23, "
    "& as %26, % as %25, a space as %20, as Python's urllib.parse.quote(password, safe='') does"
)


def refuse_ambiguous(address: str, name: str, error: type[BrainError] = SettingsError) -> None:
    """Check that nobody can take a part of an address's password for its host, path or query.

    From then on its secrets are masked in every text, see :func:`brain.redact.hide`.

    Args:
        address: of a server, database or store; a folder's path passes.
        name: of the setting or variable that it is from, for the message.
        error: to raise.

    Raises:
        BrainError: there is more than one reading; of the class ``error``, and the message shows
            the scheme alone.
    """
    hide(address)
    match = _SCHEME.match(address)
    if match is None:
        # A path may hold any "@", but for what looks like USER:PASSWORD@HOST.
        if not re.match(r"(?![A-Za-z]:[\\/])[^/\\@:]+:.*@", address, re.DOTALL):
            return
        raise error(f"{name}='***' is no address: it lacks a scheme as https://; {_CURE}")
    scheme, rest = match["scheme"].lower(), address[match.end() :]
    if scheme.startswith(("sqlite", "file")) and rest.startswith("/"):
        return  # a file's, which has no user
    if not _is_plain(scheme, rest):
        raise error(f"{name}='{match['scheme']}://***' can be read in more than one way; {_CURE}")


def check_environment() -> None:
    """Check the addresses of proxies and S3 stores in the environment, which libraries read there.

    Raises:
        SettingsError: one can be read in more than one way.
    """
    for name, value in os.environ.items():
        if _ENVIRONMENT.fullmatch(name.upper()) and value:
            refuse_ambiguous(value, name)


def _is_plain(scheme: str, rest: str) -> bool:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    if scheme in ("s3", "s3a"):
        # A bucket has neither user nor port, and its keys may hold any character.
        return "@" not in behind or not set("@:") & set(authority)
    if not authority and "@" in rest:
        return False
    info, at, _ = authority.rpartition("@")
    query = behind.partition("?")[2]
    return (
        "@" not in behind
        and (not at or _USER_INFO.fullmatch(info) is not None)
        and ("=" not in query or _QUERY.fullmatch(query.partition("#")[0]) is not None)
        and (scheme in ("http", "https") or "#" not in behind)
    )
