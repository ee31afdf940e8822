"""Who may ask: who calls this server by a name of its own, and bears a token if one is set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest

from serving.http.answers import Refusal

__all__ = ["Guard"]

_BEARER = b"bearer "


class Guard:
    """Looks at a request's head.

    A page of another site that has its own name point here (DNS rebinding) sends that name as
    ``Host``, so only known ones pass.

    Args:
        hosts: names in lower case, without ports; ``*`` is any.
        tokens: any of them passes; none ask for none.
    """

    def __init__(self, hosts: Iterable[str], tokens: Iterable[str] = ()) -> None:
        self._hosts = frozenset(name.encode() for name in hosts)
        self._tokens = [sha256(token.encode()).digest() for token in tokens]

    def check_host(self, headers: Mapping[bytes, bytes]) -> None:
        """Check by which name the server is called.

        Raises:
            Refusal: 403, it is none of its own.
        """
        host = headers.get(b"host", b"")
        if _name(host) not in self._hosts and b"*" not in self._hosts:
            shown = host[:100].decode("latin-1")
            raise Refusal(
                403, f"host {shown!r} is none of this server's; name it by the setting hosts"
            )

    def bears_token(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request may see and do everything. Takes the same time for all wrong tokens."""
        if not self._tokens:
            return True
        value = headers.get(b"authorization", b"")
        if value[: len(_BEARER)].lower() != _BEARER:
            return False
        given = sha256(value[len(_BEARER) :].strip()).digest()
        # All of them, so that it takes as long for each.
        return sum(compare_digest(given, token) for token in self._tokens) > 0

    @staticmethod
    def refusal() -> Refusal:
        """The refusal of a request without a valid token."""
        return Refusal(
            401,
            "no valid token is given; send the header Authorization: Bearer TOKEN",
            (b"www-authenticate", b'Bearer realm="brain"'),
        )


def _name(host: bytes) -> bytes:
    """The name of a ``Host`` header, without port and brackets."""
    if host.startswith(b"["):
        return host[1:].partition(b"]")[0].lower()
    return host.partition(b":")[0].lower()
