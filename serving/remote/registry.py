"""The executor's own reader of the registry, over HTTP and by the standard library alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

from brain.artifacts import EXECUTOR, EXECUTOR_MODELS, MANIFEST
from brain.cells import champions_of
from brain.errors import LibraryError, SettingsError
from brain.manifest import listing
from brain.model_keys import ModelKey, ModelQuery
from brain.naming import Tag, parse_model_id
from brain.records import Champion
from brain.registered_versions import read_version
from brain.symbol_models import SymbolModel, choose_model, key_of_model, one_of_each_key
from serving.remote.artifacts import Artifacts
from serving.remote.connections import Connections
from serving.remote.entries import ModelEntry
from serving.remote.tracking import TrackingServer

__all__ = ["RemoteRegistry"]

#: Models on a page: its JSON holds the interpreter for a tenth of a millisecond each.
PAGE = 25
_MOST_PAGES = 4_000
_MANIFEST_BYTES = 1_000_000
_FILE_BYTES = 256_000_000
# A file may take longer than an answer of the registry.
_FILE_TIMES = 6.0


class RemoteRegistry:
    """A :class:`brain.champion_source.ChampionSource` on an MLflow server, without MLflow.

    Reads what :class:`registry.library.BrainLibrary` reads, with nothing but the standard library,
    and from any number of threads. Nothing is asked before the first call.

    Every method raises :class:`brain.errors.TrackingUnreachableError` if the server does not answer
    in time, breaks an answer off or is at fault itself, and :class:`brain.errors.LibraryError` if
    it refuses a request or answers with nonsense.

    Args:
        dsn: address of the server, ``http://HOST:PORT``, with user and password if need be; see
            :mod:`serving.remote.tracking` for the variables that may hold them instead.
        timeout: seconds until an answer must be whole; a file may take six times as long.

    Raises:
        SettingsError: the dsn is no server's address, or the timeout no number above 0.
    """

    def __init__(self, dsn: str, *, timeout: float = 10.0) -> None:
        if not 0.0 < timeout < math.inf:
            raise SettingsError(f"timeout is {timeout}; give seconds above 0, as 10")
        self._connections = Connections(timeout=timeout)
        self._server = TrackingServer(dsn, self._connections)
        self._artifacts = Artifacts(self._server, self._connections, timeout * _FILE_TIMES)

    def __repr__(self) -> str:
        return f"RemoteRegistry({self._server.url!r})"

    # --- entries --------------------------------------------------------------------------------

    def newest(self, *, limit: int = 1, token: str = "") -> tuple[list[ModelEntry], str]:
        """Registered models, the one that was updated last first, and the next page's token.

        New versions and descriptions count as updates; aliases and tags don't.

        Args:
            limit: models on the page.
            token: of the page; the first one if empty.

        Returns:
            The entries, also of other programs' models, and a token that is empty at the end.
        """
        order = "last_updated_timestamp DESC"
        return self._server.models({"max_results": limit, "order_by": order, "page_token": token})

    def page(self, token: str = "", *, size: int = PAGE) -> tuple[list[ModelEntry], str]:
        """Registered models by their names, and the next page's token.

        Args:
            token: of the page; the first one if empty.
            size: models on it.

        Returns:
            As :meth:`newest`.
        """
        return self._server.models(
            {"max_results": size, "order_by": "name ASC", "page_token": token}
        )

    def champions_of(self, entry: ModelEntry) -> list[Champion]:
        """The champions of a registered model's cells; none of another program's model.

        A cell whose champion can't be read is left out, and the log says why. The registry is asked
        only where an alias was moved by hand, or a plain name's tags don't tell what it is of. Of
        two models of one key, that under the key's own name counts.
        """
        model = self._model(entry)
        return champions_of(self._server, model) if model else []

    # --- champions and their files --------------------------------------------------------------

    def champions(
        self,
        symbol: str | ModelKey | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> list[Champion]:
        """The champions of all cells, by model key and regime.

        Args:
            symbol: only the cells of this symbol's model, none if it has none; all cells if None.
            timeframe, horizon: only the cells of such models.

        Raises:
            AmbiguousModelError: the symbol has several such models.
        """
        if symbol is not None:
            query = ModelQuery.parse(symbol, timeframe, horizon)
            model = choose_model(self._models(query.symbol), query)
            return champions_of(self._server, model) if model else []
        return [
            champion
            for model in self._models(None)
            if ModelQuery(model.symbol, timeframe, horizon).fits(model.key)
            for champion in champions_of(self._server, model)
        ]

    def files(self, model_id: str) -> dict[str, bytes]:
        """A version's manifest, its data for an executor and its model, by their names.

        They are as they came: whoever reads them checks them against the champion's digest first,
        with :func:`brain.manifest.check_bytes`.

        Raises:
            InputError: the id is none.
            LibraryError: there is no such version, the Brain Library has not registered it, or a
                file is too large.
            ArtifactStoreError: the files are missing, or can't be read.
            ModelIntegrityError: the manifest is none.
        """
        version = read_version(self._server, *parse_model_id(model_id))
        try:
            location = self._server.location(version.logged_model_id)
            manifest = self._artifacts.read(location, MANIFEST, _MANIFEST_BYTES)
            names = listing(manifest)
            wanted = (EXECUTOR, *(name for name in EXECUTOR_MODELS if name in names))
            return {MANIFEST: manifest} | {
                name: self._artifacts.read(location, name, _FILE_BYTES) for name in wanted
            }
        except LibraryError as error:
            raise type(error)(f"could not fetch {model_id}: {error}") from error

    def close(self) -> None:
        """Close the connections; what is under way ends with an error."""
        self._connections.close()

    # --- helpers --------------------------------------------------------------------------------

    def _models(self, symbol: str | None) -> list[SymbolModel]:
        """The models of a symbol, of all symbols if None; sorted by their keys."""
        found = (self._model(entry) for entry in self._entries(symbol))
        return one_of_each_key(model for model in found if model)

    def _entries(self, symbol: str | None) -> Iterator[ModelEntry]:
        words = "" if symbol is None else f"tags.{Tag.SYMBOL} = '{symbol}'"
        tokens = [""]
        while tokens[-1] or len(tokens) == 1:
            entries, token = self._server.models(
                {"filter": words, "max_results": PAGE, "page_token": tokens[-1]}
            )
            yield from entries
            if token in tokens[1:] or len(tokens) > _MOST_PAGES:
                raise LibraryError(
                    f"{self._server.url} answers with pages of models without an end; "
                    "look whether it is an MLflow server"
                )
            tokens.append(token)

    def _model(self, entry: ModelEntry) -> SymbolModel | None:
        key = key_of_model(self._server, entry.name, entry.aliases, entry.tags)
        return SymbolModel(entry.name, key, "", entry.aliases, entry.tags) if key else None
