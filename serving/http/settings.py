"""How decisions are served: frozen, from a file, the environment and the command line.

A setting ``port`` is ``--port`` on the command line, before ``BRAIN_SERVE_PORT`` in the
environment, before ``port`` in the table ``[serve]`` of ``brain.toml``. Tokens are in the
environment alone: a command line is everybody's to read. Needs the standard library alone.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain.errors import BrainError, InputError, SettingsError, did_you_mean
from brain.naming import Regime, parse_regime
from brain.text import entries

if TYPE_CHECKING:
    from serving.limits import Limits as Limits

__all__ = ["LOOPBACK", "OPTIONS", "ServeSettings", "is_loopback", "load_serve_settings"]

#: Names of this machine that no other one's page can have.
LOOPBACK = ("localhost", "127.0.0.1", "::1")

_PREFIX = "BRAIN_SERVE_"
_FILE, _TABLE = "BRAIN_SETTINGS", "serve"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+|\*")
_YES, _NO = {"yes", "true", "1"}, {"no", "false", "0"}


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own; names other than ``localhost`` are not."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _usual_limits() -> Limits:
    from serving.limits import Limits  # NumPy's, which takes long to import for a list of options

    return Limits()


@dataclass(frozen=True)
class ServeSettings:
    """How decisions are served.

    Attributes:
        symbols: to decide on, in any spelling; all that have champions if none.
        invocations: the cell (symbol, regime) of ``/invocations`` where a request names none.
        limits: of the desk.
        journal: folder of the journal; None for none.
        cache: folder of the last known good champions; None for none.
        refresh_seconds: from one look at the registry's head to the next.
        sweep_seconds: from one look at all of its models to the next.
        host, port: where it listens; port 0 is any that is free.
        hosts: names by which requests may call it, beside those of loopback; ``*`` is any.
        tokens: of which a request has to bear one; none ask for none.
        anonymous: whether others than this machine may come without a token.
        tls_certificate, tls_key: files in PEM; with none it is plain HTTP.
        body_kb: kilobytes that a request's body may have.
        connections: that may be open at once, as far as the process may have so many files.
        request_seconds: in which a request's head has to be there, and then its body.
        idle_seconds: after which a connection without a request is closed.
        polling_us: microseconds after an answer for which the next request is looked for without
            sleeping.
    """

    symbols: tuple[str, ...] = ()
    invocations: tuple[str, Regime] | None = None
    limits: Limits = field(default_factory=_usual_limits)
    journal: Path | None = None
    cache: Path | None = None
    refresh_seconds: float = 1.0
    sweep_seconds: float = 300.0
    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = ()
    tokens: tuple[str, ...] = field(default=(), repr=False)
    anonymous: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    body_kb: int = 1024
    connections: int = 1024
    request_seconds: float = 10.0
    idle_seconds: float = 75.0
    polling_us: float = 100.0

    def __post_init__(self) -> None:
        """Check what several settings say together.

        Raises:
            SettingsError: others may come without a token, or of a certificate and its key one is
                missing.
        """
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError("tls_certificate and tls_key belong together; name both files")
        if not is_loopback(self.host) and not self.tokens and not self.anonymous:
            raise SettingsError(
                f"host={self.host!r} is open to other machines, and no token is asked for; set "
                f"{_PREFIX}TOKENS in the environment, or anonymous=yes if everybody may come"
            )

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """All names by which requests may call it, in lower case."""
        own = () if self.host in ("0.0.0.0", "::") else (self.host,)
        return tuple(name.lower() for name in (*LOOPBACK, *own, *self.hosts))


def load_serve_settings(overrides: Mapping[str, str | None] | None = None) -> ServeSettings:
    """The settings of this process.

    Args:
        overrides: texts by name; None values are ignored.

    Raises:
        SettingsError: a name is unknown, or a value is malformed or out of range.
    """
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    values: dict[str, Any] = {**_of_file(), **_of_environment(), **given}
    for name in values:
        if name not in _PARSERS:
            raise SettingsError(f"{name!r} is no setting of serve; {did_you_mean(name, _PARSERS)}")
    return ServeSettings(**{name: _parsed(name, value) for name, value in values.items()})


def _of_environment() -> dict[str, str]:
    values = {}
    for variable, value in os.environ.items():
        if variable.upper().startswith(_PREFIX):
            name = variable[len(_PREFIX) :].lower()
            if name not in _PARSERS:
                names = [f"{_PREFIX}{known.upper()}" for known in _PARSERS]
                raise SettingsError(
                    f"environment variable {variable} is no setting; "
                    f"{did_you_mean(variable, names)}"
                )
            values[name] = value
    return values


def _of_file() -> dict[str, Any]:
    named = os.environ.get(_FILE)
    path = Path(named or "brain.toml")
    if not named and not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get(_TABLE, {})
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"the settings file {path} can't be read: {error}; correct it as TOML"
        ) from error
    if not isinstance(table, dict):
        raise SettingsError(f"{_TABLE} is no table in {path}; write [{_TABLE}]")
    if "tokens" in table:
        raise SettingsError(
            f"tokens are in {path}, which more people read; move them to {_PREFIX}TOKENS in the "
            "environment"
        )
    return table


def _parsed(name: str, value: Any) -> Any:
    try:
        return _PARSERS[name](value)
    except SettingsError:
        raise
    except (BrainError, ValueError, TypeError) as error:
        shown = "***" if name == "tokens" else repr(value)
        raise SettingsError(f"{name}={shown}: {error}") from None


def _words(value: Any) -> tuple[str, ...]:
    """``"a, b"`` and ``["a", "b"]`` → ``("a", "b")``."""
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _symbols(value: Any) -> tuple[str, ...]:
    words = _words(value)
    return () if words == ("all",) else words


def _cell(value: Any) -> tuple[str, Regime] | None:
    symbol, slash, regime = str(value).rpartition("/")
    if not slash or not symbol:
        raise InputError("write SYMBOL/REGIME, as BTC-USDT/high")
    return symbol, parse_regime(regime)


def _limits(value: Any) -> Limits:
    """``off``, or ``symbol=0.2, gross=2, by_size=no``; what is not named is as usual."""
    from serving.limits import Limits

    if value == "off":
        return Limits.off()
    names = [limit.name for limit in fields(Limits)]
    values: dict[str, Any] = {}
    for name, text in entries(value):
        if name not in names:
            raise InputError(
                f"no limit is called {name or text!r}; {did_you_mean(name or str(text), names)}"
            )
        values[name] = _limit(name, text)
    return Limits(**values)


def _limit(name: str, text: Any) -> Any:
    if name == "kill_file":
        return _path(text)
    if name.startswith("by_"):
        return _flag(text)
    return _whole(text) if name == "dwell" else _number(text)


def _path(value: Any) -> Path | None:
    text = str(value).strip()
    if not text or "://" in text:
        raise InputError("this is no path of this machine; write one")
    return None if text == "none" else Path(text).expanduser().absolute()


def _flag(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _YES | _NO:
        raise InputError("write yes or no")
    return text in _YES


def _number(value: Any) -> float:
    number = float(value)
    if math.isnan(number):
        raise InputError("write a number")
    return number


def _whole(value: Any) -> int:
    return int(str(value))


def _within(parse: Callable[[Any], Any], least: float, most: float) -> Callable[[Any], Any]:
    def parsed(value: Any) -> Any:
        number = parse(value)
        if not least <= number <= most:
            raise InputError(f"write a number from {least:g} to {most:g}")
        return number

    return parsed


def _host(value: Any) -> str:
    text = str(value).strip().strip("[]")
    if not _HOST.fullmatch(text) or text == "*":
        raise InputError("write an address or a name of this machine, as 127.0.0.1 or 0.0.0.0")
    return text


def _hosts(value: Any) -> tuple[str, ...]:
    names = tuple(name.strip("[]") for name in _words(value))
    for name in names:
        if not _HOST.fullmatch(name):
            raise InputError(f"{name!r} is no host; write names without scheme and port")
    return names


def _tokens(value: Any) -> tuple[str, ...]:
    tokens = _words(value)
    if not tokens or not all(_TOKEN.fullmatch(token) for token in tokens):
        raise InputError(
            "write tokens of 16 to 512 letters, digits and ._~+/=- with commas between, for "
            "example of `openssl rand -hex 32`"
        )
    return tokens


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "symbols": _symbols,
    "invocations": _cell,
    "limits": _limits,
    "journal": _path,
    "cache": _path,
    "refresh_seconds": _within(_number, 0.05, 86_400.0),
    "sweep_seconds": _within(_number, 0.05, 86_400.0),
    "host": _host,
    "port": _within(_whole, 0, 65_535),
    "hosts": _hosts,
    "tokens": _tokens,
    "anonymous": _flag,
    "tls_certificate": _path,
    "tls_key": _path,
    "body_kb": _within(_whole, 1, 1 << 20),
    "connections": _within(_whole, 1, 1 << 20),
    "request_seconds": _within(_number, 0.5, 3600.0),
    "idle_seconds": _within(_number, 0.5, 86_400.0),
    "polling_us": _within(_number, 0.0, 10_000.0),
}
#: Settings that the command line has: all but the tokens.
OPTIONS = tuple(name for name in _PARSERS if name != "tokens")
