"""Metrics: what was asked, decided and refused, and what is served."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.serving.desk import Models
from tests.serving.http.served import NEW, PATH, SYMBOL, Served, dataset, null, serving

PRESENT = [bar for bar in NEW if bar.close == bar.close]


def read(served: Served) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = served.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in text_string_to_metric_families(answer.body.decode())
        for sample in metric.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_requests_decisions_and_predictions_are_counted(models: Models) -> None:
    rows = {
        "columns": list(dataset().names),
        "data": [[null(value) for value in row] for row in dataset().features[-5:].tolist()],
    }
    with serving(models) as served:
        regimes = [served.bar(bar).json["regime"] for bar in PRESENT[:30]]
        served.bar(PRESENT[2])
        for _ in range(3):
            served.ask("POST", f"/champions/{PATH}/high/predict", {"dataframe_split": rows})
        served.get("/nowhere")
        served.get("/champions/BTC-USD/low")
        with served.socket() as one:
            one.sendall(b"nothing\r\n\r\n")
            one.recv(1000)
        found = read(served)
    bars = "/bars/{symbol}"
    assert found[key("brain_http_requests_total", route=bars, status="200")] == 30
    assert found[key("brain_http_requests_total", route=bars, status="400")] == 1
    assert found[key("brain_http_requests_total", route="none", status="404")] == 1
    cell = "/champions/{symbol}/{regime}"
    assert found[key("brain_http_requests_total", route=cell, status="404")] == 1
    assert found[key("brain_http_request_seconds_count", route=bars)] == 31
    assert 0.0 < found[key("brain_http_request_seconds_sum", route=bars)] < 30.0
    model = "ETH-USD.1d.6"
    for regime in set(regimes):
        decided = found[key("brain_decisions_total", model=model, regime=regime or "unknown")]
        assert decided == regimes.count(regime)
    assert found[key("brain_predictions_total", model=model, regime="high")] == 15
    assert found[key("brain_http_connections_refused_total", reason="malformed")] == 1
    assert found[key("brain_http_connections")] == 1
    assert found[key("process_open_fds")] > 0


def test_what_is_served_is_shown_and_how_old_it_is(models: Models) -> None:
    with serving(models) as served:
        found = read(served)
        assert found[key("brain_ready")] == 1
        assert 0.0 <= found[key("brain_champions_age_seconds", model="ETH-USD.1d.6")] < 60.0
        assert found[key("brain_champions_failed", model="ETH-USD.1d.6")] == 0
        close = found[key("brain_last_close_timestamp_seconds", model="ETH-USD.1d.6")]
        assert close == served.hamilton.last_close(SYMBOL) / 1e9
        for regime in ("low", "normal", "high", "extreme"):
            champion = served.hamilton.champion(SYMBOL, regime)
            info = key(
                "brain_champion_info",
                model="ETH-USD.1d.6",
                regime=regime,
                version=champion.version.id,
                digest=champion.cell.digest,
                family=str(champion.version.family),
            )
            assert found[info] == 1


def test_paths_of_others_make_no_metrics(served: Served) -> None:
    for number in range(50):
        served.get(f"/{number}")
        served.get(f"/champions/X{number}/low")
    routes = {dict(labels).get("route", "none") for _, labels in read(served)}
    assert routes <= {"none", "/champions/{symbol}/{regime}", "/metrics"}
