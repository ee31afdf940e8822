"""Answers of the tracking server that come page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient

__all__ = ["all_pages", "experiment_ids"]


def all_pages(fetch: Callable[[str | None], Any]) -> list[Any]:
    """The entries of all pages.

    Args:
        fetch: returns the page of a token, which is None for the first one; a page has the token of
            the next one as its ``token``.
    """
    entries: list[Any] = []
    token = None
    while True:
        page = fetch(token)
        entries += page
        token = page.token
        if not token:
            return entries


def experiment_ids(client: MlflowClient) -> list[str]:
    """The ids of all active experiments."""
    experiments = all_pages(lambda token: client.search_experiments(page_token=token))
    return [experiment.experiment_id for experiment in experiments]
