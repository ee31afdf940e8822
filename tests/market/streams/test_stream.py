"""Streams from the loopback exchanges."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.market.exchange_server import EXCHANGES, ExchangeServer
from tests.market.streams.streaming import SCALE, happened, run, shares, stored, stream, unseen


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_happens_while_it_is_listened_to_is_stored(exchange: str, tmp_path: Path) -> None:
    with ExchangeServer(fillers=0, live={"scale": SCALE}) as server:
        one = stream(server, tmp_path, [exchange])
        run(one, 3.0)
        truth = happened(server)
    rows = stored(tmp_path)
    assert len(rows) > 20
    assert set(rows["exchange"]) == {exchange}
    assert len(unseen(tmp_path, truth)) == 0
    assert shares(tmp_path, server)[exchange] >= 0.99
    assert not one.normaliser.unreadable
