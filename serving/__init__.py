"""Hamilton's side: champions in memory and fast predictions.

Imports registry and, of engine, the features and regimes kernels.
"""

from __future__ import annotations

__all__: list[str] = []
