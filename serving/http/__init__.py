"""Hamilton over HTTP: an ASGI application on uvicorn; its libraries are the extra ``serve``.

>>> from serving.http import Application, Server, ServeSettings  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from serving.http.application import Application as Application
    from serving.http.server import Server as Server
    from serving.http.settings import ServeSettings as ServeSettings

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "serving.http.application": "Application",
        "serving.http.server": "Server",
        "serving.http.settings": "ServeSettings",
    },
)
