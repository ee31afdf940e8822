"""One server for all tests of a module that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving.desk import Models
from tests.serving.http.served import Served, serving


@pytest.fixture(scope="module")
def served(models: Models) -> Iterator[Served]:
    """A server without tokens."""
    with serving(models) as one:
        yield one
