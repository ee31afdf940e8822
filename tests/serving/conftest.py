"""One small desk for all tests that only read its models."""

from __future__ import annotations

import pytest

from tests.serving.desk import Models, quick_models

#: Bars that the champions were trained on; those after them are given.
TRAINED = 1100


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Champions of ETH/USD: the three families in turn, by regime."""
    return quick_models(tmp_path_factory.mktemp("models"), TRAINED)
