"""A tracking server by its HTTP API: registered models, versions and runs.

Credentials are those of the address, else of ``MLFLOW_TRACKING_USERNAME`` and
``MLFLOW_TRACKING_PASSWORD``, else of ``MLFLOW_TRACKING_TOKEN``, as for MLflow's own client. The
variables are read at each request.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlencode

from brain.addresses import refuse_ambiguous
from brain.errors import LibraryError, SettingsError
from brain.redact import hide, redact
from brain.registry_entries import RunEntry, VersionEntry, name_filter
from serving.remote.connections import Answer, Connections, origin_of
from serving.remote.entries import NONSENSE, ModelEntry, milliseconds, parse_page, tags_of, text_of

__all__ = ["PATH", "Address", "TrackingServer", "refusal"]

Parsed = TypeVar("Parsed")

_API = "/api/2.0/mlflow"
#: Bytes of an answer that is no artifact. A page of 25 models with all their records is .4 MB.
_MOST = 32_000_000
_ABSENT = "RESOURCE_DOES_NOT_EXIST"
#: What stands in the path of an address as it is, also where it is percent-encoded already.
PATH = "/%!$&'()*+,;=:@~"
_TOKEN = "MLFLOW_TRACKING_TOKEN"
_USER, _PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


class Address:
    """An address that may hold user and password, taken apart.

    Attributes:
        url: without them, and without an oblique at its end; percent-encoded.
        login: ``user:password``, decoded; empty if there is none.

    Raises:
        SettingsError: it is no server's, or can be read in more than one way.
    """

    def __init__(self, address: str, name: str) -> None:
        refuse_ambiguous(address, name)
        head, _, rest = address.partition("://")
        authority, oblique, path = rest.partition("/")
        login, _, netloc = authority.rpartition("@")
        self.url = f"{head.lower()}://{netloc}{quote(oblique + path, safe=PATH)}".rstrip("/")
        self.login = unquote(login)
        origin_of(self.url)  # refuses what is none

    @property
    def headers(self) -> dict[str, str]:
        """The credentials as a request sends them."""
        return _basic(self.login) if self.login else {}


class TrackingServer:
    """A :class:`brain.registry_entries.RegistryReader` over HTTP.

    Args:
        dsn: ``http://…`` or ``https://…``, with user and password if need be.
        connections: that are used.

    Raises:
        SettingsError: it is no server's address.
    """

    def __init__(self, dsn: str, connections: Connections) -> None:
        scheme = dsn.partition(":")[0].lower()
        if scheme not in ("http", "https"):
            refuse_ambiguous(dsn, "tracking URI")
            raise SettingsError(
                f"tracking URI {redact(dsn)!r} is no server's, and the executor reads no database; "
                f"start `mlflow server --backend-store-uri {redact(dsn)}` where that is, and give "
                "its address, http://HOST:PORT"
            )
        self._address = Address(dsn, "tracking URI")
        self._connections = connections

    def __repr__(self) -> str:
        return f"TrackingServer({self.url!r})"

    @property
    def url(self) -> str:
        """The address without user and password."""
        return self._address.url

    # --- the registry ---------------------------------------------------------------------------

    def models(self, query: Mapping[str, str | int]) -> tuple[list[ModelEntry], str]:
        """A page of registered models, and the next page's token; empty at the end.

        Args:
            query: of MLflow's search: ``filter``, ``order_by``, ``max_results``, ``page_token``.
        """
        return parse_page(self._get("registered-models/search", query).body)

    def version(self, model: str, number: int) -> VersionEntry:
        answer = self._json("model-versions/get", {"name": model, "version": number})

        def asked() -> VersionEntry:
            entry = _version(answer["model_version"])
            if (entry.model, entry.number) != (model, number):
                raise ValueError(f"it is {entry.model}/{entry.number}")
            return entry

        return self._parsed(asked, f"{model}/{number}")

    def newest(self, model: str) -> VersionEntry | None:
        answer = self._json(
            "model-versions/search",
            {"filter": name_filter(model), "max_results": 1, "order_by": "version_number DESC"},
        )

        def first() -> VersionEntry | None:
            versions = answer.get("model_versions") or []
            return _version(versions[0]) if versions else None

        return self._parsed(first, f"the newest version of {model}")

    def run(self, run_id: str) -> RunEntry | None:
        try:
            answer = self._json("runs/get", {"run_id": run_id})
        except _AbsentError:
            return None
        return self._parsed(lambda: _run(answer["run"]), f"run {run_id}")

    def location(self, logged_model_id: str) -> str:
        """The address of a logged model's files.

        Raises:
            LibraryError: there is no such model.
        """
        answer = self._json(f"logged-models/{quote(logged_model_id, safe='')}", {})
        return self._parsed(
            lambda: text_of(answer["model"]["info"]["artifact_uri"]), f"model {logged_model_id}"
        )

    def credentials_for(self, url: str) -> dict[str, str]:
        """The headers of a request to an address: of another server's none."""
        return self._credentials() if origin_of(url)[0] == origin_of(self.url)[0] else {}

    # --- requests -------------------------------------------------------------------------------

    def _json(self, path: str, query: Mapping[str, str | int]) -> Any:
        answer = self._get(path, query)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise LibraryError(
                f"{self.url} answers {path} with what is no JSON ({error}); look whether it is an "
                "MLflow server"
            ) from error

    def _get(self, path: str, query: Mapping[str, str | int]) -> Answer:
        words = urlencode({key: value for key, value in query.items() if value != ""})
        answer = self._connections.get(
            f"{self.url}{_API}/{path}{'?' if words else ''}{words}",
            limit=_MOST,
            headers=self._credentials(),
        )
        if answer.status == 200:
            return answer
        error = _AbsentError if _code(answer) == _ABSENT else LibraryError
        raise error(
            f"{self.url} answers {path} with "
            + refusal(answer, "look whether it is there, and an MLflow server of 3.0 or later")
        )

    def _credentials(self) -> dict[str, str]:
        if self._address.login:
            return self._address.headers
        user, password = os.environ.get(_USER), os.environ.get(_PASSWORD)
        if user and password:
            # As an address, whose secrets are masked in each of their encodings.
            hide(f"http://{quote(user, safe='')}:{quote(password, safe='')}@host")
            return _basic(f"{user}:{password}")
        token = os.environ.get(_TOKEN)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _parsed(self, parse: Callable[[], Parsed], what: str) -> Parsed:
        """What is parsed of an answer; nonsense is an error of ours."""
        try:
            return parse()
        except NONSENSE as error:
            raise LibraryError(
                f"{self.url} answers with what is not {what} ({error!r}); look whether it is an "
                "MLflow server of 3.0 or later"
            ) from error


class _AbsentError(LibraryError):
    """There is no such thing."""


def _basic(login: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def refusal(answer: Answer, cure: str) -> str:
    """What an answer that is none says: its status, MLflow's message, and what to do.

    Args:
        answer: of a status that is not 200.
        cure: where the status tells none.
    """
    text = str(_document(answer).get("message", "")).strip()
    # Masked before it is cut: a part of a secret is not recognised.
    message = f" ({redact(text).splitlines()[0][:300]})" if text else ""
    if answer.status in (401, 403):
        cure = f"set {_TOKEN}, or {_USER} and {_PASSWORD}, to those of a user who may read it"
    elif 300 <= answer.status < 400:
        cure = "it leads elsewhere, which is not followed: name the server itself"
    return f"{answer.status}{message}; {cure}"


def _document(answer: Answer) -> Mapping[str, Any]:
    """MLflow's error; empty if the answer is none."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _code(answer: Answer) -> str:
    return str(_document(answer).get("error_code", ""))


def _version(entry: Mapping[str, Any]) -> VersionEntry:
    return VersionEntry(
        model=text_of(entry["name"]),
        number=int(entry["version"]),
        tags=tags_of(entry.get("tags")),
        run_id=text_of(entry.get("run_id") or ""),
        source=text_of(entry.get("source") or ""),
        created_ms=milliseconds(entry.get("creation_timestamp", 0)),
    )


def _run(run: Mapping[str, Any]) -> RunEntry:
    data = run.get("data") or {}
    # Numbers that are not finite are texts in this API, "NaN".
    metrics = {text_of(m["key"]): float(m["value"]) for m in data.get("metrics") or []}
    return RunEntry(tags_of(data.get("params")), metrics, milliseconds(run["info"]["start_time"]))
