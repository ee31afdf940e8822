"""Publishers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.errors import InputError, did_you_mean
from market.sentiment.publishers.base import Publisher
from market.sentiment.publishers.fear_greed import FearGreed
from market.sentiment.publishers.feeds import FEEDS, Feeds
from market.sentiment.publishers.news import News
from market.sentiment.publishers.reddit import SUBREDDITS, Reddit
from market.sentiment.publishers.x import X

if TYPE_CHECKING:
    from brain.settings import Settings

__all__ = ["INDEX", "PUBLISHERS", "credentials_of", "publisher_of"]

#: The one whose numbers are no posts'.
INDEX = FearGreed.name
PUBLISHERS: tuple[str, ...] = ("feeds", "fear_greed", "x", "reddit", "news")

_CREDENTIALS = {one.name: one.credentials for one in (Feeds, FearGreed, X, Reddit, News)}


def publisher_of(settings: Settings, name: str) -> Publisher | FearGreed:
    """The client of a publisher, by the settings; an async context manager.

    No request is sent yet, and no credential needed.

    Raises:
        InputError: there is no such publisher, or an address is none.
    """
    timeout = settings.request_timeout
    match name:
        case "feeds":
            return Feeds(settings.feeds or FEEDS, timeout=timeout)
        case "fear_greed":
            return FearGreed(settings.fear_greed_url, timeout=timeout)
        case "x":
            return X(settings.x_url, timeout=timeout, posts_an_hour=settings.posts_an_hour)
        case "reddit":
            return Reddit(
                settings.reddit_url,
                login_url=settings.reddit_login_url,
                timeout=timeout,
                subreddits=settings.subreddits or SUBREDDITS,
            )
        case "news":
            return News(settings.news_url, timeout=timeout)
    raise InputError(f"no publisher is called {name!r}; {did_you_mean(name, PUBLISHERS)}")


def credentials_of(name: str) -> tuple[str, ...]:
    """The variables of the environment that a publisher's credentials are in."""
    return _CREDENTIALS.get(name, ())
