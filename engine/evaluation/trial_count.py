"""How many independent trials a search's trials are worth."""

from __future__ import annotations

import numpy as np

from engine.kernels.columns import Floats

__all__ = ["effective_trials"]


def effective_trials(predictions: Floats) -> float:
    """The number of independent trials whose best one is as lucky as the best of these.

    ``(Σ√λ)² / Σλ`` of the eigenvalues λ of the predictions' correlations: N. Galwey, "A new measure
    of the effective number of tests", Genetic Epidemiology 33 (2009). It is 1 for one trial many
    times over, and T for T uncorrelated ones.

    Args:
        predictions: (N, T) of T trials; NaN is no prediction. Only rows that every trial predicted
            count; a trial without a prediction, or a constant one, doesn't.

    Returns:
        From 1 to T; 1 without a trial. T where the rows are too few for correlations.
    """
    known = np.isfinite(predictions)
    columns = predictions[:, known.any(axis=0)]
    rows = columns[np.isfinite(columns).all(axis=1)]
    if len(rows) < 3:
        return float(max(1, columns.shape[1]))
    rows = rows[:, np.ptp(rows, axis=0) > 0.0]
    if rows.shape[1] < 2:
        return 1.0
    eigenvalues = np.maximum(np.linalg.eigvalsh(np.corrcoef(rows, rowvar=False)), 0.0)
    return float(np.sqrt(eigenvalues).sum() ** 2 / eigenvalues.sum())
