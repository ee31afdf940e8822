"""HTML pages in the house's style, each one file that needs no other file and no network."""

from __future__ import annotations

from typing import Any

__all__ = ["render"]


def render(template: str, **values: Any) -> str:
    """A page; every value is escaped.

    Args:
        template: a Jinja template with ``{% extends "page" %}`` and the blocks ``style``, rules of
            its own, and ``body``.
        values: of the template, ``title`` among them.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        loader=DictLoader({"page": _PAGE}),
    )
    return environment.from_string(template).render(**values)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light; --line: #dde1e6; }
body { font: 14px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1b1f24;
       background: #fff; margin: 2rem auto; max-width: 1400px; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
p { margin: .3rem 0; color: #4a525c; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; background: #f4f6f8; position: sticky; top: 0; }
th, td { padding: .35rem .55rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th.n, td.n { text-align: right; white-space: nowrap; }
td.name { white-space: nowrap; } tr.noted td { border-bottom: 0; padding-bottom: 0; }
tr.note td { color: #4a525c; font-size: .86rem; padding-top: .1rem; }
.axis { display: flex; justify-content: space-between; color: #4a525c; font-size: .85rem; }
.key { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .9rem; }
{% block style %}{% endblock %}
</style>
</head>
<body>
{% block body %}{% endblock %}
</body>
</html>
"""
