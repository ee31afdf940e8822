"""Metrics for Prometheus: what was asked and decided, how long it took, and what is served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from brain.errors import NoChampionError
from brain.naming import Regime
from serving.champions import LoadedChampion
from serving.hamilton import Hamilton
from serving.health import Health, ModelHealth

__all__ = ["Metrics"]

_BUCKETS = (
    1e-4,
    2.5e-4,
    5e-4,
    1e-3,
    2.5e-3,
    5e-3,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
)


class Metrics:
    """Counts, and what is served now.

    Args:
        hamilton: whose champions are shown.

    Attributes:
        kind: the content type of :meth:`text`.
    """

    kind = CONTENT_TYPE_LATEST.encode()

    def __init__(self, hamilton: Hamilton) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Served(hamilton))
        ProcessCollector(registry=self.registry)
        requests = Counter(
            "brain_http_requests", "Requests answered", ["route", "status"], registry=self.registry
        )
        seconds = Histogram(
            "brain_http_request_seconds",
            "From a request's head to its answer",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        decisions = Counter(
            "brain_decisions", "Decisions returned", ["model", "regime"], registry=self.registry
        )
        predictions = Counter(
            "brain_predictions", "Rows predicted", ["model", "regime"], registry=self.registry
        )
        refused = Counter(
            "brain_http_connections_refused",
            "Connections closed before an answer of a route",
            ["reason"],
            registry=self.registry,
        )
        self._connections = Gauge(
            "brain_http_connections", "Connections that are open", registry=self.registry
        )
        # Finding a child by its labels takes longer than counting.
        self._requests = cache(requests.labels)
        self._seconds = cache(seconds.labels)
        self._decisions = cache(decisions.labels)
        self._predictions = cache(predictions.labels)
        self._refused = cache(refused.labels)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer.

        Args:
            route: its template, never a path as it came.
            status: of the answer.
            seconds: that it took.
        """
        self._requests(route, status).inc()
        self._seconds(route).observe(seconds)

    def decision(self, model: str, regime: str | None) -> None:
        """Count a decision."""
        self._decisions(model, regime or "unknown").inc()

    def prediction(self, model: str, regime: str, rows: int) -> None:
        """Count predictions of a champion."""
        self._predictions(model, regime).inc(rows)

    def refused(self, reason: str) -> None:
        """Count a connection that was closed: ``full``, ``idle``, ``late`` or ``malformed``."""
        self._refused(reason).inc()

    def watch_connections(self, number: Callable[[], int]) -> None:
        """Show how many connections are open."""
        self._connections.set_function(number)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)


class _Served(Collector):
    """Readiness, ages and versions of now."""

    def __init__(self, hamilton: Hamilton) -> None:
        self._hamilton = hamilton

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        health = self._hamilton.health()
        yield GaugeMetricFamily("brain_ready", "Whether decisions are made", int(health.ready))
        ages = GaugeMetricFamily(
            "brain_champions_age_seconds",
            "Since the registry last confirmed the champions",
            labels=["model"],
        )
        closes = GaugeMetricFamily(
            "brain_last_close_timestamp_seconds",
            "Close of the last bar that counts",
            labels=["model"],
        )
        failures = GaugeMetricFamily(
            "brain_champions_failed", "Champions that are not the registry's", labels=["model"]
        )
        changes = CounterMetricFamily("brain_champion_changes", "Champions taken over")
        changes.add_metric([], health.changes)
        asked = GaugeMetricFamily("brain_registry_age_seconds", "Since the registry last answered")
        asked.add_metric([], float("nan") if health.asked is None else health.asked)
        for model in health.models:
            ages.add_metric([model.model], float("nan") if model.age is None else model.age)
            closes.add_metric([model.model], model.last_close / 1e9)
            failures.add_metric([model.model], len(model.failures))
        info = InfoMetricFamily("brain_champion", "Champions that are served")
        for model, regime, champion in _champions(self._hamilton, health):
            labels = {
                "model": model.model,
                "regime": str(regime),
                "version": champion.version.id,
                "digest": champion.version.digest,
                "family": str(champion.version.family),
            }
            info.add_metric([], labels)
        yield from (ages, closes, failures, changes, asked, info)


def _champions(
    hamilton: Hamilton, health: Health
) -> Iterator[tuple[ModelHealth, Regime, LoadedChampion]]:
    """The champions that can be used."""
    for model in health.models:
        for regime in model.versions:
            try:
                yield model, regime, hamilton.champion(model.model, regime)
            except NoChampionError:  # since the health was told
                continue
