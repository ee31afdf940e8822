"""The bytes of artifacts, wherever a tracking server keeps them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from brain.addresses import refuse_ambiguous
from brain.errors import (
    ArtifactStoreError,
    LibraryError,
    SettingsError,
    TrackingUnreachableError,
)
from brain.redact import redact
from serving.remote.connections import Connections, origin_of
from serving.remote.tracking import PATH, Address, TrackingServer, refusal

__all__ = ["Artifacts"]

_API = "/api/2.0/mlflow-artifacts/artifacts"
# A link is no file of the folder; a pipe would block.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_FLAGS |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_SERVE = (
    "let the MLflow server hand its artifacts out (`mlflow server --serve-artifacts "
    "--artifacts-destination …`), or keep them in an S3 store"
)
_RESTORE = "restore the version's files or train it anew"


class Artifacts:
    """Reads files below the addresses that a tracking server tells.

    Args:
        server: that tells them, and may hand the files out. Its credentials go to no other one.
        connections: that are used.
        timeout: seconds until a file must be whole.
    """

    def __init__(self, server: TrackingServer, connections: Connections, timeout: float) -> None:
        self._server, self._connections, self._timeout = server, connections, timeout

    def read(self, location: str, name: str, limit: int) -> bytes:
        """The bytes of a file in a folder of artifacts.

        Args:
            location: address of the folder: ``mlflow-artifacts:/…``, ``http(s)://…``, ``s3://…``,
                or a folder of this machine.
            name: of the file in it.
            limit: bytes that it may have.

        Raises:
            TrackingUnreachableError: the tracking server does not answer.
            ArtifactStoreError: there is no such file, it can't be read, or nothing here reads such
                a location.
            LibraryError: it has more bytes than its limit.
        """
        refuse_ambiguous(location, "artifact location", ArtifactStoreError)
        try:
            parts = urlsplit(location)
        except ValueError as error:
            raise _unreadable(location) from error
        match parts.scheme.lower():
            case "mlflow-artifacts" if _is_server(parts.netloc):
                return self._served(parts, name, limit)
            case "http" | "https":
                return self._at_address(location, name, limit)
            case "s3":
                from serving.remote.s3 import read_object  # few keep artifacts there

                key = f"{location[len('s3://') :].partition('/')[2].rstrip('/')}/{name}"
                return read_object(
                    self._connections, parts.netloc, key, limit=limit, timeout=self._timeout
                )
            case "file" if parts.netloc in ("", "localhost"):
                return _read_file(Path(unquote(parts.path)) / name, limit)
            case "":
                return _read_file(Path(location) / name, limit)
            case _:
                raise _unreadable(location)

    def _served(self, parts: SplitResult, name: str, limit: int) -> bytes:
        """A file that this server hands out, or another one whose host the address names."""
        root = self._server.url
        if parts.netloc:
            host = f"{origin_of(root)[0].scheme}://{parts.netloc}"
            root = root if origin_of(host)[0] == origin_of(root)[0] else host
        path = quote(f"{parts.path}/{name}".lstrip("/"), safe=PATH)
        return self._fetch(f"{root}{_API}/{path}", {}, limit)

    def _at_address(self, location: str, name: str, limit: int) -> bytes:
        try:
            address = Address(location, "artifact location")
        except SettingsError as error:
            raise ArtifactStoreError(f"{error}") from error
        return self._fetch(f"{address.url}/{name}", address.headers, limit)

    def _fetch(self, url: str, headers: Mapping[str, str], limit: int) -> bytes:
        credentials = self._server.credentials_for(url)
        own = origin_of(url)[0] == origin_of(self._server.url)[0]
        answer = self._connections.get(
            url,
            limit=limit,
            headers=headers or credentials,
            timeout=self._timeout,
            unreachable=TrackingUnreachableError if own else ArtifactStoreError,
        )
        if answer.status != 200:
            raise ArtifactStoreError(f"{url} answers with {refusal(answer, _RESTORE)}")
        return answer.body


def _is_server(netloc: str) -> bool:
    """Whether it is none, or that of a server."""
    try:
        return not netloc or bool(origin_of(f"http://{netloc}"))
    except SettingsError:
        return False


def _read_file(path: Path, limit: int) -> bytes:
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise ArtifactStoreError(
            f"{path} can't be read on this machine ({error.strerror}); {_SERVE}"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArtifactStoreError(f"{path} is no regular file; {_RESTORE}")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise LibraryError(f"{path} has more than {limit} bytes; {_RESTORE}")
    return content


def _unreadable(location: str) -> ArtifactStoreError:
    return ArtifactStoreError(f"the executor reads no artifacts at {redact(location)!r}; {_SERVE}")
