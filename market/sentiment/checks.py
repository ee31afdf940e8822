"""Checks of the publishers: their credentials are there, and they answer as documented."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from brain.checks import CONFIGURATION, Check, failed, ok
from brain.errors import BrainError, InputError, MarketError, PublisherUnreachableError
from brain.settings import Settings
from market.sentiment.opening import open_scorer
from market.sentiment.publishers.base import Publisher
from market.sentiment.publishers.catalogue import credentials_of, publisher_of
from market.sentiment.publishers.fear_greed import FearGreed

__all__ = ["check_sentiment"]

_SECONDS = 25.0


def check_sentiment(settings: Settings, *, live: bool, seconds: float = _SECONDS) -> list[Check]:
    """Look for the credentials of the configured publishers, and open the scorer.

    Args:
        settings: the publishers, their addresses and the scorer.
        live: send each publisher whose credentials are there a request.
        seconds: for all requests to one publisher.

    Returns:
        Nothing if no publisher is configured. No row shows a credential.
    """
    if not settings.sentiment:
        return []
    try:
        publishers = [publisher_of(settings, name) for name in settings.sentiment]
    except InputError as error:
        return [failed(CONFIGURATION, error)]
    checks = [_scorer_check(settings.scorer)]
    checks += [check for name in settings.sentiment if (check := _credentials_check(name))]
    if live:
        checks += asyncio.run(_answers(publishers, seconds))
    return checks


def _scorer_check(name: str) -> Check:
    try:
        scorer = open_scorer(name)
    except BrainError as error:
        return failed("scorer", error)
    return ok("scorer", f"{scorer.name} {scorer.version}")


def _credentials_check(publisher: str) -> Check | None:
    """Whether they are in the environment; None if none are needed."""
    names = credentials_of(publisher)
    if not names:
        return None
    missing = [name for name in names if not os.environ.get(name, "").strip()]
    if missing:
        detail = f"{', '.join(missing)} not set"
        return failed(f"{publisher} credentials", detail, "set them in the environment")
    return ok(f"{publisher} credentials", f"{', '.join(names)} set")


async def _answers(publishers: Sequence[Publisher | FearGreed], seconds: float) -> list[Check]:
    return list(await asyncio.gather(*(_answer(one, seconds) for one in publishers)))


async def _answer(publisher: Publisher | FearGreed, seconds: float) -> Check:
    async with publisher:
        try:
            async with asyncio.timeout(seconds):
                return ok(publisher.name, await publisher.probe())
        except TimeoutError:
            return failed(
                publisher.name,
                PublisherUnreachableError(
                    f"{publisher!r} gave no answer within {seconds:g} s; check the network and the "
                    "proxy"
                ),
            )
        except BrainError as error:
            return failed(publisher.name, error)
        except Exception as error:  # noqa: BLE001 (the first live answer may break a parser anywhere)
            return failed(
                publisher.name,
                MarketError(
                    f"the answer broke its parser ({type(error).__name__}); report this, for it is "
                    "our fault"
                ),
            )
