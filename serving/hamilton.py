"""Hamilton: the live executor. One call a bar; what to hold, why, from which version, how old."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from brain.champion_source import ChampionSource
from brain.errors import (
    AmbiguousModelError,
    InputError,
    NoChampionError,
    UnknownSymbolError,
    did_you_mean,
)
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Regime, parse_regime
from serving.bars import Row, check_row
from serving.book import DAY_NS, BookedProfit
from serving.boot import First, model_key
from serving.champions import LoadedChampion
from serving.decision import Decision
from serving.feed import ChampionFeed
from serving.health import Health
from serving.journal import SymbolJournal
from serving.kill_switch import KillSwitch
from serving.limits import Board, Limits, Moment
from serving.refresher import Refresh
from serving.values import bar_of, bars_of, nanoseconds, values_of

if TYPE_CHECKING:
    from serving.symbol_executor import SymbolExecutor

__all__ = ["Hamilton"]

logger = logging.getLogger(__name__)


class Hamilton:
    """The champions of symbols in memory, and a decision at every bar's close.

    Safe from many threads: each symbol has a lock of its own, and no other is taken. A decision
    touches no network, no parser, and no file but by one ``write()`` of a line of the journal.

    A source whose changes can be followed is followed: what the registry names decides from the
    next bar on, see :mod:`serving.refresher`. From others nothing is taken but by :meth:`reload`.

    Args:
        models: where champions are from: :class:`serving.remote.registry.RemoteRegistry`, or
            :class:`registry.library.BrainLibrary`.
        symbols: to decide on: ``BTC/USDT``, ``BTC-USDT.1h.6``, or model keys.
        limits: of the desk; ``Limits.off()`` decides as the evaluation does.
        journal: folder of the journal, see :mod:`serving.journal`, from which a restart goes on;
            without one a restart begins anew.
        cache: folder of the last known good champions, see :mod:`serving.cache`, from which a start
            without the registry goes on; None for none.
        refresh: how the source is followed; None if it isn't.
        clock: the present, nanoseconds since 1970 UTC.

    Raises:
        NoChampionError: a symbol has no champion.
        AmbiguousModelError: a symbol has models of several timeframes or horizons; name one.
        ModelIntegrityError: none of a symbol's champions is what was registered.
        InputError: a symbol comes twice, or another process writes the journal.
    """

    def __init__(
        self,
        models: ChampionSource,
        symbols: Iterable[str | ModelKey],
        *,
        limits: Limits | None = None,
        journal: Path | str | None = None,
        cache: Path | str | None = None,
        refresh: Refresh | None = Refresh(),  # noqa: B008 -- it is frozen
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock = clock
        self.limits = limits or Limits()
        named = list(symbols)
        if not named:
            raise InputError("no symbol is named; name at least one")
        self._feed = ChampionFeed(models, cache, refresh, clock)
        self._switch = KillSwitch(None)
        self._executors: dict[str | ModelKey, SymbolExecutor] = {}
        self._all: list[SymbolExecutor] = []
        try:
            first = self._feed.first(named)
            self._board = Board(len(first))
            self._switch = KillSwitch(self.limits.kill_file)
            for place, each in enumerate(first):
                self._add(place, each, Path(journal) if journal is not None else None)
            self._feed.follow()
        except BaseException:
            self.close()
            raise

    # --- decisions ------------------------------------------------------------------------------

    def bar(
        self,
        symbol: str | ModelKey,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        volume: float,
        close_time: Any,
    ) -> Decision:
        """The decision at the close of a bar.

        The same bar again gives the same decision. Bars that the calendar expects between the last
        one and this are missing ones, and are decided first, as the evaluation does. Who has to
        trade while bars are missing gives them, as NaN, when they are due.

        Args:
            symbol: of the bar, as it was named or in any spelling of it.
            open, high, low, close: prices; four NaN are a missing bar.
            volume: traded in the bar; NaN is unknown.
            close_time: nanoseconds since 1970 UTC, or a datetime with a time zone.

        Raises:
            UnknownSymbolError: nothing is decided on that symbol.
            InputError: the calendar expects no bar that closes then, it comes after a later one,
                the bar was decided with other values, or a value is none that a bar can have.
            LibraryError: the journal can't be written; nothing may be traded on the decision. The
                same bar again tries to write it again.
        """
        executor = self._executors.get(symbol) or self._executor(symbol)
        return executor.bar(bar_of(open, high, low, close, volume, close_time))

    def row(
        self,
        kind: str,
        symbol: str | ModelKey,
        exchange: str,
        time: Any,
        available: Any,
        values: Mapping[str, float],
    ) -> None:
        """Give a row of another kind than bars.

        It counts from the first bar given after it that closes when it is available, or later.

        Args:
            kind: ``funding`` (rate, interval_hours), ``open_interest`` (base, and usd if known),
                ``liquidations`` (long_usd and short_usd of the minute that ends at ``time``; NaN:
                it is not known any more),
                ``post`` (score by the training's scorer; each once), ``index`` (of Fear & Greed),
                ``columns``: a model's own columns by name, of the bar that closes at ``time``; or
                ``fill`` (price): what the decision at the close ``time`` was filled at, for the
                profit; given before the next bar, and NaN where it was not.
            symbol: of the row.
            exchange: of the row, of a post its publisher; empty for index, own columns and fills.
            time: of settlement, of the stamp, of publication, or of the bar's close.
            available: when it was public.
            values: by name; NaN is unknown.

        Raises:
            UnknownSymbolError: nothing is decided on that symbol.
            InputError: there is no such kind, or the values are not its own.
        """
        row = Row(
            kind,
            exchange or "",
            nanoseconds(time, "time"),
            nanoseconds(available, "available"),
            values_of(values),
        )
        check_row(row)
        self._executor(symbol).row(row)

    def warm_up(self, symbol: str | ModelKey, arrays: Mapping[str, Any]) -> int:
        """Give bars on which nothing is to be decided: those since the champions' training.

        Args:
            symbol: of the bars.
            arrays: ``open``, ``high``, ``low``, ``close``, ``volume`` and ``close_time`` (N,),
                oldest first. Bars that are there already are passed over.

        Returns:
            How many bars were new.

        Raises:
            UnknownSymbolError: nothing is decided on that symbol.
            InputError: of the arrays, or the calendar expects no such bar.
        """
        return self._executor(symbol).warm_up(bars_of(arrays))

    # --- champions ------------------------------------------------------------------------------

    def champion(self, symbol: str | ModelKey, regime: Regime | str) -> LoadedChampion:
        """The champion of a cell, which predicts on inputs that the caller has.

        Raises:
            UnknownSymbolError, UnknownRegimeError: there is no such symbol or regime here.
            NoChampionError: the cell has no champion, or it can't be used; the message says why.
        """
        loaded = self._executor(symbol).loaded
        code = REGIMES.index(parse_regime(regime))
        champion = loaded.champions.get(code)
        if champion is None:
            why = loaded.failures.get(code, "run the nightly job for it")
            raise NoChampionError(f"{loaded.key} has no champion for regime {regime}; {why}")
        return champion

    def sole_champion(self, symbol: str | ModelKey) -> LoadedChampion | None:
        """The champion that is meant without a regime: all of the symbol's have the same version.

        Returns:
            None if they have several.

        Raises:
            UnknownSymbolError: nothing is decided on that symbol.
        """
        return self._executor(symbol).loaded.sole

    def reload(self, symbol: str | ModelKey) -> None:
        """Take the champions of now; bars, slots and profit stay. On an error the former ones stay.

        Raises:
            UnknownSymbolError: nothing is decided on that symbol.
            NotEnoughBarsError: the newest champion was trained until a bar after the last one.
            NoChampionError, ModelIntegrityError, LibraryError: none can be loaded.
        """
        executor = self._executor(symbol)
        executor.reload(self._feed.load(executor.key))

    @property
    def keys(self) -> tuple[ModelKey, ...]:
        """The models of all symbols, in the order in which these were named."""
        return tuple(executor.key for executor in self._all)

    def key(self, symbol: str | ModelKey) -> ModelKey:
        """The model that a symbol means here.

        Raises:
            UnknownSymbolError: nothing is decided on that symbol.
            AmbiguousModelError: it has several models; name one.
        """
        return self._executor(symbol).key

    def last_close(self, symbol: str | ModelKey) -> int:
        """The close of the last bar that counts, nanoseconds since 1970 UTC: the next one is due.

        At first the last bar of the champions' training; after a restart that of the journal.
        """
        return self._executor(symbol).last_close

    def last_decision(self, symbol: str | ModelKey) -> Decision | None:
        """The last decision; None before the first. After a restart it is the journal's last.

        Raises:
            UnknownSymbolError: nothing is decided on that symbol.
        """
        return self._executor(symbol).last

    # --- the desk -------------------------------------------------------------------------------

    def profit(self, symbol: str | ModelKey) -> BookedProfit:
        """What a symbol has earned: in its last bar, and on that bar's day (UTC)."""
        return self._executor(symbol).earned

    def kill(self, reason: str = "by a call") -> None:
        """Hold nothing from each symbol's next bar on; a restart with the journal holds to it."""
        self._switch.kill(reason)
        for executor in self._all:
            executor.switch(reason)

    def revive(self) -> None:
        """End the effect of :meth:`kill`; that of a kill file ends with the file."""
        self._switch.revive()
        for executor in self._all:
            executor.switch("")

    def health(self) -> Health:
        """What is served, how old that is, and what stands in the way of newer champions."""
        return self._feed.health()

    def close(self) -> None:
        """Close the journals; nothing is decided or followed any more."""
        self._feed.close()
        self._switch.close()
        for executor in self._all:
            executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- helpers --------------------------------------------------------------------------------

    def _add(self, place: int, first: First, journal: Path | None) -> None:
        from serving.symbol_executor import SymbolExecutor  # see ChampionFeed

        loaded, key = first.loaded, first.loaded.key
        if key in self._executors:
            raise InputError(f"{key} comes twice; name each symbol once")
        executor = SymbolExecutor(
            loaded,
            self.limits,
            _Place(self._board, place, self._switch, self._feed, self._clock),
            SymbolJournal(journal / key.name) if journal is not None else None,
        )
        self._all.append(executor)
        self._feed.add(first, executor)
        self._executors |= {key: executor, key.name: executor}
        self._board.claim(place, executor.book.exposure)
        self._board.book(place, executor.book.day, executor.book.net)
        of_symbol = [other for other in self._all if other.key.symbol == key.symbol]
        if len(of_symbol) == 1:
            self._executors[key.symbol] = executor
        else:
            self._executors.pop(key.symbol, None)

    def _executor(self, symbol: str | ModelKey) -> SymbolExecutor:
        executor = self._executors.get(symbol)
        if executor is not None:
            return executor
        key = model_key(symbol)
        of_symbol = [e for e in self._all if key in (e.key, e.key.symbol)]
        if len(of_symbol) == 1:
            self._executors[symbol] = of_symbol[0]
            return of_symbol[0]
        names = [executor.name for executor in self._all]
        if of_symbol:
            raise AmbiguousModelError(f"{symbol} could be any of {', '.join(names)}; name one")
        raise UnknownSymbolError(
            f"nothing is decided on {symbol!r}; {did_you_mean(str(symbol), names)}"
        )


class _Place:
    """A symbol's place on the board, see :class:`serving.limits.Place`."""

    def __init__(
        self,
        board: Board,
        place: int,
        switch: KillSwitch,
        feed: ChampionFeed,
        clock: Callable[[], int],
    ) -> None:
        self._board, self._place, self._switch = board, place, switch
        self._feed, self._clock = feed, clock

    def moment(self, close_ns: int, wanted: float, net: float) -> Moment:
        board, place, day = self._board, self._place, close_ns // DAY_NS
        board.book(place, day, net)
        board.claim(place, wanted)
        now = self._clock()
        return Moment(
            now,
            self._switch.reason,
            board.others_gross(place),
            board.others_net(place, day),
            self._feed.age(place, now),
        )

    def hold(self, exposure: float) -> None:
        self._board.claim(self._place, exposure)
