"""A symbol's rows as other lines see them than those of tonight's features and target."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from brain.errors import BarsError, InputError
from brain.naming import Fill
from brain.recipes import own_columns
from engine.kernels.targets import target_name

if TYPE_CHECKING:
    from brain.lines import Line
    from engine.data.dataset import Dataset

__all__ = ["LineDatasets"]

logger = logging.getLogger(__name__)

#: Makes the symbol's dataset anew, with these own columns and with decisions filled there.
Maker = Callable[[Sequence[str], Fill], "Dataset"]


class LineDatasets:
    """A symbol's datasets, by line.

    A champion's line stays when the settings name other columns, another fill, or bring in funding
    and open interest: its versions go on to be fitted and judged on what it is made of, as far as
    tonight's data have it.

    Args:
        dataset: of tonight's features and target.
        make: makes the symbol's dataset with other own columns or another fill.
    """

    def __init__(self, dataset: Dataset, make: Maker) -> None:
        self._dataset = dataset
        self._make = cache(make)

    def others(self, lines: Iterable[Line]) -> dict[Line, Dataset]:
        """Each line of other features or another target than tonight's, with its own dataset.

        A line that tonight's data have no features for is left out, and the log says why.
        """
        datasets = {}
        for line in lines:
            if (line.feature_set, line.target) == self._tonight:
                continue
            try:
                datasets[line] = self._of(line)
            except (BarsError, InputError) as error:
                logger.warning(
                    "%s: line %s can't be fitted and judged tonight: %s",
                    self._dataset.symbol, line.id, error,
                )  # fmt: skip
        return datasets

    def filled_tonight(self, line: Line) -> Dataset:
        """The line's features, with decisions filled as tonight's are.

        Lines are compared by what they would earn if they traded now, however their targets were
        made.

        Raises:
            InputError, BarsError: the data lack a feature of the line.
        """
        return self._with_features(line, self._dataset.fill)

    @property
    def _tonight(self) -> tuple[str, str]:
        return self._dataset.feature_set, self._dataset.target_name

    def _of(self, line: Line) -> Dataset:
        window = self._dataset.definition.window
        fill = next((fill for fill in Fill if target_name(window, fill) == line.target), None)
        if fill is None:
            raise InputError(f"its target {line.target!r} is not computed any more")
        return self._with_features(line, fill)

    def _with_features(self, line: Line, fill: Fill) -> Dataset:
        dataset, own = self._dataset, own_columns(line.feature_set)
        if fill is not dataset.fill or not set(own) <= set(dataset.own):
            dataset = self._make(tuple(sorted({*own, *dataset.own})), fill)
        return dataset.of_features(line.feature_set)
