"""The two figures of a version: bars of every method side by side, and a beeswarm."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.explainers.base import Contributions
from analysis.png import write_png
from analysis.results import Method, ModelAnalysis, Ranking
from analysis.sampling import Array
from brain.artifacts import BEESWARM, FEATURES_PAGE, IMPORTANCE_FIGURE

__all__ = ["write_figures"]

_MOST_FEATURES = 15
_DPI = 110
_CAPTION = f"each feature's formula and unit: {FEATURES_PAGE} beside this picture"
_TITLES = {
    Method.SHAP: "shap: moves predictions",
    Method.PERMUTATION: "permutation: rank IC lost",
    Method.CORRELATION: "correlation with the target",
}


def write_figures(
    model: ModelAnalysis,
    contributions: Contributions | None,
    values: Array,
    names: Sequence[str],
    folder: Path,
) -> None:
    """Write ``importance.png`` and, where there are contributions, ``beeswarm.png``.

    Args:
        model: the version.
        contributions: at n moments; None if they don't add up.
        values: (n, F) of the features at these moments; an LSTM's last row.
        names: of the F features.
        folder: where the files go.
    """
    with _without_a_screen():
        with _figure() as figure:
            _bars(figure, model)
            write_png(figure, folder / IMPORTANCE_FIGURE)
        if contributions is not None:
            with _figure() as figure:
                _beeswarm(figure, model, contributions, values, names)
                write_png(figure, folder / BEESWARM)


@contextmanager
def _figure() -> Iterator[Figure]:
    figure = plt.figure(layout="constrained", dpi=_DPI)
    figure.supxlabel(_CAPTION, fontsize=7, color="#555555")
    try:
        yield figure
    finally:
        plt.close(figure)


@contextmanager
def _without_a_screen() -> Iterator[None]:
    """Draw to files only, and leave pyplot and NumPy's global random state as they were.

    shap plots through pyplot, and shuffles its points by the global state.
    """
    backend = matplotlib.get_backend(auto_select=False)
    state = np.random.get_state()  # noqa: NPY002
    plt.switch_backend("agg")
    np.random.seed(0)  # noqa: NPY002
    try:
        with matplotlib.rc_context({"font.size": 9}):
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
        if backend is not None:
            plt.switch_backend(backend)


def _bars(figure: Figure, model: ModelAnalysis) -> None:
    first = next(iter(model.rankings.values()))
    top = [feature.feature for feature in first.features[:_MOST_FEATURES]]
    figure.set_size_inches(3.4 * len(model.rankings) + 1.6, 0.28 * len(top) + 1.6)
    panels = figure.subplots(1, len(model.rankings), sharey=True, squeeze=False)
    for axes, ranking in zip(panels[0], model.rankings.values(), strict=True):
        _panel(axes, ranking, top)
    panels[0][0].invert_yaxis()
    figure.suptitle(f"{model.model_id} {model.family}: {len(top)} features, by {first.method}")


def _panel(axes: Axes, ranking: Ranking, top: Sequence[str]) -> None:
    by_name = {feature.feature: feature for feature in ranking.features}
    entries = [(place, by_name[name]) for place, name in enumerate(top) if name in by_name]
    axes.barh(
        [place for place, _ in entries],
        [_share(feature.importance, ranking) for _, feature in entries],
        xerr=[_share(feature.error, ranking) for _, feature in entries],
        color="#1e88e5",
        ecolor="#555555",
        capsize=2,
    )
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set_yticks(range(len(top)), top)
    axes.set_title(f"{_TITLES[ranking.method]}, {ranking.rows} rows", fontsize=9)
    axes.set_xlabel("share ± one standard error")
    axes.spines[["top", "right"]].set_visible(False)


def _share(value: float, ranking: Ranking) -> float:
    """A value in the unit of the importance as a share; 0 if it is unknown."""
    total = sum(max(feature.importance, 0.0) for feature in ranking.features)
    return float(np.nan_to_num(value / total)) if total > 0 else 0.0


def _beeswarm(
    figure: Figure,
    model: ModelAnalysis,
    contributions: Contributions,
    values: Array,
    names: Sequence[str],
) -> None:
    import shap

    ranked = {feature.feature for feature in model.rankings[Method.SHAP].features}
    columns = [column for column, name in enumerate(names) if name in ranked]
    figure.set_size_inches(8.5, 0.34 * min(_MOST_FEATURES, len(columns)) + 1.8)
    explanation = shap.Explanation(
        values=contributions.values[:, columns],
        base_values=contributions.base,
        data=values[:, columns],
        feature_names=[names[column] for column in columns],
    )
    with warnings.catch_warnings():
        # A feature that is missing at all of these moments is drawn in grey.
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        axes = shap.plots.beeswarm(
            explanation,
            ax=figure.add_subplot(),
            max_display=_MOST_FEATURES,
            plot_size=None,
            color_bar_label="feature's value",
            show=False,
        )
    axes.set_xlabel("contribution to the prediction, in the target's unit")
    axes.set_title(f"{model.model_id} {model.family}, {len(values)} moments", fontsize=9)
