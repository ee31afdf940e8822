"""What each route does, with Hamilton and the champions in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from brain.errors import InputError, NoChampionError
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Regime
from serving.champions import LoadedChampion
from serving.decision import Decision
from serving.hamilton import Hamilton
from serving.http.answers import Answer, Header, Refusal, encode
from serving.http.metrics import Metrics
from serving.http.openapi import document
from serving.http.requests import Request
from serving.http.schemas import (
    BarBody,
    CellAnswer,
    ChampionAnswer,
    ChampionsAnswer,
    HealthAnswer,
    ModelAnswer,
    Number,
    PredictionsAnswer,
    RowAnswer,
    RowBody,
    WarmUpAnswer,
    WarmUpBody,
)
from serving.http.tables import Floats, read_body, read_csv, read_json
from serving.http.turns import Turns
from serving.values import nanoseconds

__all__ = ["Service"]

_JSON, _CSV = "application/json", "text/csv"
# Larger bodies, and bars after a gap of more bars, are long calls.
_SHORT_BODY = 64 * 1024
_SHORT_GAP = 32

_bar = msgspec.json.Decoder(BarBody)
_row = msgspec.json.Decoder(RowBody)
_warm_up = msgspec.json.Decoder(WarmUpBody)


class Service:
    """The routes' functions: from a request to its answer.

    Args:
        hamilton: that decides.
        metrics: that count.
        default: symbol and regime of ``/invocations`` where a request names neither.
    """

    def __init__(
        self,
        hamilton: Hamilton,
        metrics: Metrics,
        default: tuple[str, Regime] | None = None,
    ) -> None:
        self._hamilton, self._metrics = hamilton, metrics
        self._default = default
        self._openapi = Answer(encode(document()))
        self._decisions, self._batches = Turns("decisions"), Turns("batches")
        self._pages = Turns("pages")

    def close(self) -> None:
        """Wait for what is under way."""
        for turns in (self._decisions, self._batches, self._pages):
            turns.close()

    # --- champions ------------------------------------------------------------------------------

    async def invocations(self, request: Request) -> Answer:
        """Predictions of the champion that the request names, or of the only one that fits."""
        return await self._predictions(request, self._named_champion(request))

    async def predict(self, request: Request) -> Answer:
        """Predictions of a cell's champion."""
        return await self._predictions(request, self._champion(*request.parameters))

    async def champions(self, request: Request) -> Answer:
        """All champions that are served."""
        del request

        def page() -> bytes:
            cells = [
                CellAnswer(**_cell(champion))
                for key in self._hamilton.keys
                for champion in self._cells(key)
            ]
            return encode(ChampionsAnswer(cells))

        return Answer(await self._pages.aside(page))

    async def champion(self, request: Request) -> Answer:
        """The champion of a cell, with the names of its inputs."""
        champion = self._champion(*request.parameters)
        answer = ChampionAnswer(**_cell(champion), inputs=list(champion.names))
        return Answer(encode(answer), headers=_headers(champion))

    async def _predictions(self, request: Request, champion: LoadedChampion) -> Answer:
        kind = request.kind()
        if kind not in (_JSON, _CSV):
            raise Refusal(415, f"a body of {kind[:100]!r} is not read; send {_JSON} or {_CSV}")
        read = read_json if kind == _JSON else read_csv

        def predict() -> tuple[int, bytes]:
            predictions = _predict(champion, read(request.body, champion.names))
            return len(predictions), encode(PredictionsAnswer(predictions))

        if len(request.body) > _SHORT_BODY:
            rows, body = await self._batches.aside(predict)
        else:
            rows, body = predict()
        self._metrics.prediction(champion.version.key.name, champion.cell.regime, rows)
        return Answer(body, headers=_headers(champion))

    def _champion(self, symbol: str, regime: str) -> LoadedChampion:
        try:
            return self._hamilton.champion(symbol, regime)
        except NoChampionError as error:
            name = self._hamilton.key(symbol).name
            models = self._hamilton.health().models
            failed = any(m.model == name and regime in m.failures for m in models)
            raise Refusal(503 if failed else 404, str(error)) from error

    def _cells(self, key: ModelKey) -> Iterator[LoadedChampion]:
        """The champions of a model that can be used."""
        for regime in REGIMES:
            try:
                yield self._hamilton.champion(key, regime)
            except NoChampionError:
                continue

    def _named_champion(self, request: Request) -> LoadedChampion:
        """The champion of a request that may name neither symbol nor regime, or one of them."""
        symbol, regime = request.named("symbol", "regime")
        if symbol is None and regime is None and self._default is not None:
            symbol, regime = self._default
        if symbol is None and len(keys := self._hamilton.keys) == 1:
            symbol = keys[0].name
        if symbol is not None:
            if regime is not None:
                return self._champion(symbol, regime)
            champion = self._hamilton.sole_champion(symbol)
            if champion is not None:
                return champion
        raise InputError(
            "several champions could be meant; name one by ?symbol=…&regime=…, by the headers "
            "X-Symbol and X-Regime, or for all requests by the setting invocations"
        )

    # --- decisions ------------------------------------------------------------------------------

    async def bar(self, request: Request) -> Answer:
        """The decision at a bar's close."""
        body = read_body(_bar, _json(request))
        key = self._hamilton.key(request.parameters[0])
        close = nanoseconds(body.close_time)
        decision = await self._decisions.in_order(
            key.name,
            self._hamilton.bar,
            key,
            _float(body.open),
            _float(body.high),
            _float(body.low),
            _float(body.close),
            _float(body.volume),
            close,
            long=self._is_long_gap(key, close),
        )
        self._metrics.decision(decision.model, decision.regime)
        return Answer(encode(decision), headers=self._headers_of(decision))

    def _headers_of(self, decision: Decision) -> list[Header]:
        """Version and digest of a decision; no digest if the version was replaced meanwhile."""
        if decision.version is None:
            return []
        for champion in self._cells(self._hamilton.key(decision.model)):
            if champion.version.id == decision.version:
                return _headers(champion)
        return [(b"x-model-version", decision.version.encode())]

    async def row(self, request: Request) -> Answer:
        """Give a row of another kind than bars."""
        body = read_body(_row, _json(request))
        key = self._hamilton.key(request.parameters[0])
        values = {name: _float(value) for name, value in body.values.items()}
        await self._decisions.in_order(
            key.name,
            self._hamilton.row,
            body.kind,
            key,
            body.exchange,
            body.time,
            body.available,
            values,
            long=False,
        )
        return Answer(encode(RowAnswer()))

    async def warm_up(self, request: Request) -> Answer:
        """Give bars on which nothing is decided."""
        content, key = _json(request), self._hamilton.key(request.parameters[0])

        def warm_up() -> int:
            body = read_body(_warm_up, content)
            arrays: dict[str, Any] = {
                name: [_float(value) for value in getattr(body, name)]
                for name in ("open", "high", "low", "close", "volume")
            }
            arrays["close_time"] = [nanoseconds(value) for value in body.close_time]
            return self._hamilton.warm_up(key, arrays)

        bars = await self._decisions.in_order(key.name, warm_up, long=True)
        return Answer(encode(WarmUpAnswer(bars)))

    def _is_long_gap(self, key: ModelKey, close: int) -> bool:
        """Whether so many bars may be missing before this one that deciding them takes long."""
        champion = next(self._cells(key), None)
        if champion is None:
            return True
        bars = (close - self._hamilton.last_close(key)) / champion.version.data.timeframe_ns
        return bars > _SHORT_GAP

    # --- the server -----------------------------------------------------------------------------

    async def health(self, request: Request) -> Answer:
        """Whether decisions are made; and to whom it may be told, by what."""
        health = self._hamilton.health()
        answer = HealthAnswer(health.ready)
        if request.trusted:
            answer.error, answer.asked = health.error, health.asked
            answer.models = [
                ModelAnswer(
                    model.model,
                    {str(regime): version for regime, version in model.versions.items()},
                    {str(regime): why for regime, why in model.failures.items()},
                    model.age,
                    model.error,
                    model.last_close,
                )
                for model in health.models
            ]
        return Answer(encode(answer), 200 if health.ready else 503)

    async def openapi(self, request: Request) -> Answer:
        """The OpenAPI document."""
        del request
        return self._openapi

    async def metrics(self, request: Request) -> Answer:
        """Metrics for Prometheus."""
        del request
        return Answer(await self._pages.aside(self._metrics.text), kind=self._metrics.kind)


def _json(request: Request) -> bytes:
    """The body, which is JSON.

    Raises:
        Refusal: 415, it is of another type.
    """
    kind = request.kind()
    if kind != _JSON:
        raise Refusal(415, f"a body of {kind[:100]!r} is not read; send {_JSON}")
    return request.body


def _float(value: Number) -> float:
    return math.nan if value is None else value


def _predict(champion: LoadedChampion, rows: Floats) -> list[Number]:
    """A prediction a row, looking back over the rows that are given.

    Args:
        rows: (N, F), oldest first.

    Returns:
        N predictions; NaN where a row has too few before it, or the model can't tell.
    """
    back, predict = champion.look_back, champion.version.predictor.predict
    if back == 1:
        return [predict(row) for row in rows]
    early: list[Number] = [math.nan] * min(back - 1, len(rows))
    windows = (rows[end - back : end] for end in range(back, len(rows) + 1))
    return early + [predict(np.ascontiguousarray(window)) for window in windows]


def _headers(champion: LoadedChampion) -> list[Header]:
    version = champion.version
    return [
        (b"x-model-version", version.id.encode()),
        (b"x-model-digest", version.digest.encode()),
    ]


def _cell(champion: LoadedChampion) -> dict[str, Any]:
    cell, version = champion.cell, champion.version
    return {
        "model": version.key.name,
        "regime": cell.regime,
        "version": version.id,
        "digest": version.digest,
        "family": version.family,
        "confidence": cell.confidence,
        "size": cell.size,
        "size_reason": cell.size_reason,
        "trained_until": int(version.data.trained_until_ns),
        "look_back": champion.look_back,
    }
