"""The command ``brain serve``: champions, Hamilton and the server, put together."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from brain.champion_source import ChampionSource
from brain.errors import NoChampionError, SettingsError
from brain.model_keys import ModelKey
from serving.cache import ChampionCache
from serving.hamilton import Hamilton
from serving.http.settings import ServeSettings, load_serve_settings
from serving.polling import PolledSource
from serving.refresher import Refresh, RefreshSource

if TYPE_CHECKING:
    from serving.http.server import Server as Server

__all__ = ["check_libraries", "desk", "serve", "settle"]

_LIBRARIES = ("uvicorn", "httptools", "msgspec", "prometheus_client")


def serve(
    overrides: Mapping[str, str | None],
    source: Callable[[], ChampionSource],
    tell: Callable[[str], object] = print,
) -> int:
    """Serve decisions until a signal.

    Args:
        overrides: settings of the command line, see :class:`serving.http.settings.ServeSettings`.
        source: gives where champions are from.
        tell: called with a line once requests are answered.

    Returns:
        The exit code.

    Raises:
        SettingsError: a setting can't be used, or a library is missing.
        NoChampionError: there is nothing to serve.
    """
    check_libraries()
    settings = load_serve_settings(overrides)
    with desk(settings, source) as (hamilton, server):
        settle()
        server.run(lambda: tell(_line(settings, hamilton, server.address)))
    return 0


@contextmanager
def desk(
    settings: ServeSettings, source: Callable[[], ChampionSource]
) -> Iterator[tuple[Hamilton, Server]]:
    """Hamilton with his server, which is to be run; in the end his journal is closed.

    Raises:
        SettingsError: a setting can't be used.
        NoChampionError: there is nothing to serve.
    """
    from serving.http.application import Application
    from serving.http.guard import Guard
    from serving.http.metrics import Metrics
    from serving.http.server import Server, bind
    from serving.http.service import Service

    with ExitStack() as stack:
        bound = stack.enter_context(bind(settings))  # what can't be served is not loaded
        hamilton = stack.enter_context(_open(settings, source()))
        metrics = Metrics(hamilton)
        service = Service(hamilton, metrics, settings.invocations)
        stack.callback(service.close)
        guard = Guard(settings.known_hosts, settings.tokens)
        application = Application(service, guard, metrics, settings.body_kb * 1024)
        server = Server(application, settings, metrics, bound)
        yield hamilton, server


def settle() -> None:
    """Leave what is there by now out of garbage collections, which would pause for tens of ms.

    It stays until the process ends, as modules and models do.
    """
    gc.collect()
    gc.freeze()


def check_libraries() -> None:
    """Check that the libraries of the extra ``serve`` are there.

    Raises:
        SettingsError: one is not.
    """
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed, and "
            "serving needs it; pip install 'brain-library[serve]'"
        )


def _open(settings: ServeSettings, models: ChampionSource) -> Hamilton:
    symbols: list[str | ModelKey] = list(settings.symbols)
    if not symbols and settings.cache is not None:
        symbols = [model.key for model in ChampionCache(settings.cache).models()]
    if not symbols:
        symbols = list(dict.fromkeys(champion.key for champion in models.champions()))
    if not symbols:
        raise NoChampionError("the registry has no champions; run the nightly job first")
    hamilton = Hamilton(
        models
        if isinstance(models, RefreshSource)
        else PolledSource(models, settings.refresh_seconds),
        symbols,
        limits=settings.limits,
        journal=settings.journal,
        cache=settings.cache,
        refresh=Refresh(seconds=settings.refresh_seconds, sweep_seconds=settings.sweep_seconds),
    )
    try:
        if settings.invocations is not None:
            hamilton.key(settings.invocations[0])
    except BaseException:
        hamilton.close()
        raise
    return hamilton


def _line(settings: ServeSettings, hamilton: Hamilton, address: str) -> str:
    names = [key.name for key in hamilton.keys]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} others" if len(names) > 5 else "")
    who = "requests bear a token" if settings.tokens else "no token is asked for"
    journal = f"journal in {settings.journal}" if settings.journal else "no journal"
    return f"Serving {shown} at {address}; {who}; {journal}"
