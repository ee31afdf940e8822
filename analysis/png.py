"""A figure as a PNG file."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["write_png"]


def write_png(figure: Figure, file: Path) -> None:
    """Draw once; ``savefig`` draws a figure with a layout twice, for a quarter more time."""
    FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]
