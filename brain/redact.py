"""Texts without secrets, fit for a message or a log. Needs the standard library alone.

A secret is masked in two ways. By form: whatever stands between an address's scheme and host, and a
parameter that is named as a secret. By heart: the secrets of the environment, and of every address
that was handed to :func:`hide`, wherever they appear in a text, in any usual encoding, also if a
library has taken the address apart. Every :class:`brain.errors.BrainError` masks its own text and
that of the errors behind it; :class:`RedactedStream` masks all that a process prints.
"""

from __future__ import annotations

import base64
import html
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import lru_cache
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import unquote

__all__ = [
    "PLACEHOLDER",
    "RedactedStream",
    "hide",
    "redact",
    "redact_document",
    "redact_error",
    "redacted_output",
]

#: Stands for user and password in our own texts, which say how an address is written.
PLACEHOLDER = "USER:PASSWORD"

_MASK = "***"
# What follows a scheme, as far as it may be one address. One without authority has "///".
_ADDRESSED = re.compile(r"(?<=:)(//(?!/)|/(?!/))((?:(?!://)\S)*)")
_SECRET_WORDS = (
    r"passw(?:or)?d|passphrase|secret|token|credential|signature|(?:access|api|private)[_-]?key"
)
# No two of its beginnings read the same text, and no end reads far: odd texts take no longer.
_PARAMETER = re.compile(
    rf"(?<![^?&;\s'\"])([^=?&;#\s'\"]*(?:{_SECRET_WORDS})[^=&#\s]{{0,100}})=[^&#\s]*", re.I
)
_SECRET_VARIABLE = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSPHRASE|CREDENTIAL|(ACCESS|API|PRIVATE)_?KEY"
)
_PLACE_VARIABLE = re.compile(r"(FILE|PATH|DIR|URI|URL|ENDPOINT|USERNAME)$")
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*:/")
_DELIMITERS = re.compile(r"[@:/?#\[\]\\\s&=,;]+")
# A user name as long as that may be a token.
_LONGEST_USER = 15
# Shorter secrets are words that may be part of any text; parts of secrets are told from words so.
_MIN_SECRET, _MIN_WORD, _MIN_PART = 4, 8, 6
_WORDS = {"true", "false", "none", "null", "auto", "password", "token", "secret"}

_MOST_ADDRESSES = 64

# In the order in which they were handed over.
_addresses: dict[str, None] = {}


def hide(*addresses: str) -> None:
    """Mask the secrets of these addresses in every text from now on; other texts have none.

    A process has few addresses: of more, only the latest 64 are masked so.
    """
    for address in addresses:
        if "://" in address or "@" in address:
            _addresses.pop(address, None)
            _addresses[address] = None
    for address in tuple(_addresses)[:-_MOST_ADDRESSES]:
        _addresses.pop(address, None)


def redact(text: str) -> str:
    """A dsn, or a text that holds some, without secrets."""
    for secret in _secrets_by_heart(frozenset(tuple(_addresses)), frozenset(os.environ.items())):
        text = _form(secret).sub(_MASK, text)
    return _PARAMETER.sub(rf"\1={_MASK}", _ADDRESSED.sub(_without_password, text))


def redact_document(value: Any) -> Any:
    """JSON's values with every text in them redacted; names of fields stay."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: redact_document(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [redact_document(part) for part in value]
    return value


def redact_error(error: BaseException | None) -> None:
    """Redact the text of an error, and of those behind it, which a traceback shows too."""
    errors = [error]
    for cause in errors:
        if cause is None or any(cause is earlier for earlier in errors[: errors.index(cause)]):
            continue
        args = tuple(redact(part) if isinstance(part, str) else part for part in cause.args)
        if args != cause.args:
            cause.args = args
        if isinstance(cause, OSError) and isinstance(cause.filename, str):
            cause.filename = redact(cause.filename)
        errors += [behind for behind in (cause.__cause__, cause.__context__) if behind is not None]


class RedactedStream:
    """A text stream to which everything is written without secrets.

    Args:
        stream: where it goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text; a secret that is split over two calls is not recognised."""
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def redacted_output() -> Iterator[None]:
    """What this process prints is without secrets; so is, also afterwards, an error's traceback."""
    sys.excepthook = _print_redacted
    out: Any = RedactedStream(sys.stdout)
    err: Any = RedactedStream(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err):
        yield


def _print_redacted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def _without_password(match: re.Match[str]) -> str:
    """What follows a scheme, without what is before its last "@": passwords hold any character."""
    info, at, host = match[2].rpartition("@")
    if not at or info == PLACEHOLDER:
        return match[0]
    user, colon, _ = info.partition(":")
    shown = colon and re.fullmatch(rf"[\w.+-]{{0,{_LONGEST_USER}}}", user)
    return f"{match[1]}{user}:{_MASK}@{host}" if shown else f"{match[1]}{_MASK}@{host}"


# --- secrets by heart ---------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _secrets_by_heart(
    addresses: frozenset[str], environment: frozenset[tuple[str, str]]
) -> tuple[str, ...]:
    """Every secret of these addresses and variables, the longest first."""
    secrets: set[str] = set().union(*map(_secrets_of, addresses))
    for name, value in environment:
        if _ADDRESS.match(value) or name.upper().endswith("_PROXY"):
            secrets |= _secrets_of(value)
        if _SECRET_VARIABLE.search(name.upper()) and not _PLACE_VARIABLE.search(name.upper()):
            secrets.add(value)
    secrets = {s for s in secrets if len(s) >= _MIN_SECRET and s.lower() not in _WORDS}
    return tuple(sorted(secrets, key=lambda secret: (-len(secret), secret)))


@lru_cache(maxsize=1024)
def _secrets_of(address: str) -> set[str]:
    """The secrets of an address, and what a library may take for parts of it.

    What the rest of the address shows can't be a secret, as a password that is the user's name.
    """
    scheme, _, rest = address.rpartition("://") if address.count("://") == 1 else _first(address)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    secrets: set[str] = set()
    shown = rest
    is_file = not authority and scheme.startswith(("sqlite", "file"))
    if "@" in rest and not is_file and (not authority or {"@", ":"} & set(authority)):
        info, _, shown = rest.rpartition("@")
        user, _, password = info.partition(":")
        if not password or len(user) > _LONGEST_USER:
            secrets |= _parts(user)
        else:
            shown += f" {user}"
        secrets |= _parts(password)
        login = f"{unquote(user)}:{unquote(password)}".encode()
        secrets.add(base64.b64encode(login).decode().rstrip("="))
    for match in _PARAMETER.finditer(f"?{rest.partition('?')[2]}" if "?" in rest else ""):
        value = match[0].partition("=")[2]
        secrets |= _parts(value)
        shown = shown.replace(value, "")
    return {secret for secret in secrets if secret not in f"{scheme} {shown}"}


def _first(address: str) -> tuple[str, str, str]:
    """An address by its first "://", without which all of it is behind."""
    return address.partition("://") if "://" in address else ("", "", address)


def _parts(secret: str) -> set[str]:
    """A secret without percent-encoding, and its longer parts between delimiters of addresses."""
    decoded = unquote(secret)
    parts = {part for text in (secret, decoded) for part in _DELIMITERS.split(text)}
    return {decoded} | {part for part in parts if len(part) >= _MIN_PART}


@lru_cache(maxsize=1024)
def _form(secret: str) -> re.Pattern[str]:
    """What matches a secret in any usual encoding: of addresses, JSON, HTML, Python, a shell."""
    form = "".join(map(_encodings, secret))
    return re.compile(form if len(secret) >= _MIN_WORD else rf"(?<!\w){form}(?!\w)")


@lru_cache(maxsize=1024)
def _encodings(character: str) -> str:
    forms = [
        r"\s+" if character.isspace() else re.escape(character),
        "".join(f"(?i:%{byte:02x})" for byte in character.encode(errors="surrogateescape")),
    ]
    if not character.isalnum():
        forms += [r"\\+" + re.escape(character), rf"(?i:\\+u{ord(character):04x})"]
        forms += [re.escape(html.escape(character)), rf"&#{ord(character)};"]
    elif not character.isascii():
        forms += [rf"(?i:\\+u{ord(character):04x})", rf"(?i:\\+x{ord(character):02x})"]
    if character == " ":
        forms += [r"\+"]
    if character == "\\":
        forms += [r"\\+"]
    if character == "'":
        forms += [re.escape("'\\''"), re.escape("'\"'\"'")]
    return f"(?:{'|'.join(dict.fromkeys(sorted(forms, key=len, reverse=True)))})"
