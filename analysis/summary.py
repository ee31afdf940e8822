"""The night in a table, for the eyes, and in a document, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from registry.library import Champion

__all__ = ["champions_table", "night_document"]


def champions_table(champions: Sequence[Champion], failures: Mapping[str, str]) -> Table:
    """Symbol × regime → champion, with its error bar and sample size; failures below.

    Args:
        champions: in the order in which they are to be shown.
        failures: what failed, for example a symbol or "symbol family", and why.
    """
    table = Table(title="Champions", caption="net Sharpe: annualised, out of sample, after costs")
    for column in ("symbol", "regime", "champion"):
        table.add_column(column)
    for column in ("version", "net Sharpe", "bars", "episodes"):
        table.add_column(column, justify="right")
    table.add_column("why", overflow="fold")
    for champion in champions:
        record = champion.record
        table.add_row(
            champion.symbol,
            champion.regime,
            record.family,
            str(champion.version),
            _plus_minus(record.net_sharpe, record.net_sharpe_error),
            str(record.bars),
            str(record.episodes),
            record.reason,
        )
    for what, why in failures.items():
        table.add_row(what, "", "[red]failed[/]", "", "", "", "", f"[red]{why}[/]")
    return table


def night_document(
    champions: Sequence[Champion], failures: Mapping[str, str], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """The same as JSON-ready data; an unknown figure is null.

    Args:
        seconds: by stage of the night.
    """
    return {
        "champions": [
            {
                "symbol": champion.symbol,
                "regime": str(champion.regime),
                "model_id": champion.model_id,
                "uri": champion.uri,
                **{k: v for k, v in json.loads(champion.record.to_json()).items() if k != "regimes"},
            }
            for champion in champions
        ],
        "failures": dict(failures),
        "seconds": dict(seconds),
    }


def _plus_minus(value: float | None, error: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:+.2f} ± {'?' if error is None else f'{error:.2f}'}"
