"""freqtrade in its own environment: backtests by its command, and candles as a bot has them.

    python -m tests.trading_engines.freqtrade_runs RUNS

RUNS is a JSON file: ``backtests``, lists of arguments, and ``bot``: the same of a dry run, with how
many candles a frame has, how many frames there are, and in which the bot is started anew. All are
of one process, as freqtrade's import takes longest. The last line on stdout is a JSON list: what
the bot holds after each frame, by the close of the last candle.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from freqtrade.commands.arguments import Arguments
from freqtrade.configuration import Configuration
from freqtrade.data.dataprovider import DataProvider
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType, RunMode
from freqtrade.main import main as freqtrade
from freqtrade.resolvers import ExchangeResolver, StrategyResolver

HOUR = 3600 * 10**9
SIGNALS = ("enter_long", "enter_short", "exit_long", "exit_short")


class Bot:
    """What a bot does with candles, without its orders."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.exchange = ExchangeResolver.load_exchange(config)
        self.strategy = StrategyResolver.load_strategy(config)
        self.strategy.dp = DataProvider(config, self.exchange)
        self.strategy.ft_bot_start()

    def candles(self, pair: str, frame: Any) -> list[Any]:
        """The close of the last candle, what is held long and short, and the signals."""
        # As after a refresh from the exchange.
        self.exchange._klines[pair, "1h", CandleType.FUTURES] = frame
        self.strategy.analyze([pair])
        held = [self.strategy.custom_stake_amount(pair, side) for side in ("long", "short")]
        analyzed, _ = self.strategy.dp.get_analyzed_dataframe(pair, "1h")
        last = analyzed.iloc[-1]
        return [last["date"].value + HOUR, *held, [name for name in SIGNALS if last[name] == 1]]


def dry_run(arguments: list[str], candles: int, frames: int, restart: int) -> Iterator[list[Any]]:
    """A frame of candles after the other, each a candle later and given twice."""
    options = Arguments(arguments).get_parsed_arg()
    config = Configuration(options, RunMode.DRY_RUN).get_config()
    (pair,) = config["exchange"]["pair_whitelist"]
    history = load_pair_history(
        pair, "1h", config["datadir"], candle_type=CandleType.FUTURES, data_format="feather"
    )
    bot = Bot(config)
    for first in range(frames):
        frame = history[first : first + candles].reset_index(drop=True)
        yield bot.candles(pair, frame)
        if first == restart:  # as freqtrade does for /reload_config
            bot.strategy.ft_bot_cleanup()
            bot = Bot(config)
        yield bot.candles(pair, frame)


def main() -> None:
    runs = json.loads(Path(sys.argv[1]).read_text())
    for arguments in runs["backtests"]:
        try:
            freqtrade(arguments)
        except SystemExit as end:
            if end.code:
                raise
    print(json.dumps(list(dry_run(*runs["bot"]))))


if __name__ == "__main__":
    main()
