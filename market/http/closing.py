"""What has connections, and closes them in the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__all__ = ["Closing"]


class Closing(ABC):
    """What has connections that are closed in the end; an async context manager."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connections. No request can be sent afterwards."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
