"""HTML as a browser reads it."""

from __future__ import annotations

from html.parser import HTMLParser

__all__ = ["HtmlPage"]


class HtmlPage(HTMLParser):
    """The tags of a page with their attributes, its texts, and that it is nested well."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def check_self_contained(self) -> None:
        """Fail if the page loads anything, runs anything or leads anywhere."""
        tags = {tag for tag, _ in self.tags}
        assert not tags & {"script", "link", "img", "iframe", "object"}
        assert not [attrs for _, attrs in self.tags if {"src", "href"} & set(attrs)]
        assert "url(" not in "".join(self.texts)
