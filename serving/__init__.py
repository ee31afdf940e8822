"""The executor's side: champions in memory and fast predictions.

Imports the standard-library part of brain and, of engine, the kernels.
"""

from __future__ import annotations

__all__: list[str] = []
