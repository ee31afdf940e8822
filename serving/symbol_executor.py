"""One symbol: from a bar to a decision, under the symbol's own lock."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isfinite, isnan

from brain.errors import BrainError, InputError, NotEnoughBarsError
from brain.naming import REGIMES
from brain.text import count, moment as time_text
from serving.bars import Bar, Row, missing_bar
from serving.book import Book, BookedProfit
from serving.champions import Loaded, LoadedChampion, LoadedVersion, age_days
from serving.closes import ExpectedCloses
from serving.decision import Decision
from serving.entries import bar_entry, champions_entry, open_entry, row_entry, warm_entry
from serving.history import Entry, History, first_version, observe
from serving.journal import SymbolJournal, line, text
from serving.limits import Limits, Place
from serving.observations import Observations, basis_of
from serving.restoration import restore, restored_history
from serving.verdict import Verdict, judge

__all__ = ["SymbolExecutor"]

_NAN = math.nan


class SymbolExecutor:
    """The state of a symbol, its champions, its book and its journal.

    Args:
        loaded: its champions.
        limits: of the desk.
        place: its own at the desk.
        journal: of the symbol; None for none.

    Attributes:
        book: what its decisions hold and earn.
        last: the last decision; None before the first.
    """

    def __init__(
        self,
        loaded: Loaded,
        limits: Limits,
        place: Place,
        journal: SymbolJournal | None = None,
    ) -> None:
        data = loaded.newest.data
        self.key = loaded.key
        self.name = loaded.key.name
        self.limits = limits.for_bars_of(int(data.timeframe_ns))
        self.book = Book(int(data.horizon), data.rule.fill)
        self.last: Decision | None = None
        self._place = place
        self._journal = journal
        self._lock, self._reloads = threading.RLock(), threading.Lock()
        self._last_bar: Bar | None = None
        self._meanwhile: list[Entry] | None = None
        history = History() if journal is None else restored_history(journal, loaded)
        self._install(loaded, *observe(loaded, history))
        if journal is not None:
            self._begin(journal)

    # --- bars -----------------------------------------------------------------------------------

    def bar(self, bar: Bar, *, given: bool = True) -> Decision:
        """The decision at a bar's close; see :meth:`serving.hamilton.Hamilton.bar`."""
        with self._lock:
            if bar.close_time <= self._observations.close:
                return self._repeated(bar)
            missing = self._closes.between(self._observations.close, bar.close_time)
            lines = [self._step(missing_bar(close), given=False) for close in missing]
            lines.append(self._step(bar, given=given))
            self._write(lines)
            assert self.last is not None
            return self.last

    def _step(self, bar: Bar, *, given: bool) -> str:
        """Observe, settle and decide one bar; the line of the journal."""
        observations, book = self._observations, self.book
        self._observe(bar)
        book.settle(bar, self._loaded.newest.cost)
        code = observations.code
        champion = self._loaded.champions.get(code)
        prediction, gain, reason = self._expectation(champion, code)
        side = book.side(gain, champion.version.threshold if champion else 0.0)
        if champion is not None and not reason:
            book.used(champion.version.id)
        verdict = judge(side, reason, champion, book, self.limits, bar.close_time, self._place)
        book.decide(side, verdict.position, verdict.keep)
        self._place.hold(verdict.exposure)
        self._last_bar = bar
        decision = self._decision(bar.close_time, code, champion, prediction, gain, verdict)
        self.last = decision
        if self._journal is None:
            return ""
        return bar_entry(bar, decision, side, verdict, book, given=given)

    def _expectation(self, champion: LoadedChampion | None, code: int) -> tuple[float, float, str]:
        """Prediction and expected gain, and why there is none."""
        if champion is None:
            return _NAN, _NAN, self._no_champion(code)
        version, observations = champion.version, self._observations
        if obstacle := self._obstacle(version):
            return _NAN, _NAN, f"{version.id} {obstacle}"
        try:
            window = observations.window(version.data.look_back, self._columns[version.id])
            prediction = version.predictor.predict(window)
        except BrainError as error:
            return _NAN, _NAN, f"{version.id} can't predict: {error}"
        gain = version.gain(prediction, observations.volatility, code)
        if isfinite(gain):
            return prediction, gain, ""
        unknown = "prediction" if isnan(prediction) else "expected gain"
        return prediction, gain, f"the {unknown} is unknown"

    def _obstacle(self, version: LoadedVersion) -> str:
        """Why a version can't decide yet."""
        book, observations = self.book, self._observations
        if not version.needs <= observations.given:
            missing = ", ".join(sorted(version.needs - observations.given))
            return f"needs {missing}, of which no row was given"
        if book.version not in ("", version.id) and book.bars < self.limits.dwell:
            return f"has to wait: {book.version} took over {count(book.bars, 'bar')} ago"
        if observations.rows < version.data.look_back:
            rows = f"{observations.rows} of {version.data.look_back}"
            return f"has {rows} rows of its look-back; warm up with more bars"
        return ""

    def _no_champion(self, code: int) -> str:
        if code < 0:
            return "the regime is unknown"
        return self._loaded.failures.get(code) or f"regime {REGIMES[code]} has no champion"

    def _decision(
        self,
        close: int,
        code: int,
        champion: LoadedChampion | None,
        prediction: float,
        gain: float,
        verdict: Verdict,
    ) -> Decision:
        version = champion.version if champion else None
        return Decision(
            self.name,
            close,
            verdict.position,
            verdict.exposure,
            prediction,
            gain,
            REGIMES[code] if code >= 0 else None,
            version.id if version else None,
            version.family if version else None,
            champion.cell.confidence if champion else None,
            age_days(version, close) if version else None,
            verdict.reason,
        )

    def _repeated(self, bar: Bar) -> Decision:
        close = self._observations.close
        if bar.close_time < close or self.last is None or self._last_bar is None:
            raise InputError(
                f"{self.name}: a bar that closes at {time_text(bar.close_time)} comes after the "
                f"one of {time_text(close)}; give bars in the order of time"
            )
        if not _same(bar, self._last_bar):
            raise InputError(
                f"{self.name}: the bar that closes at {time_text(close)} was decided with other "
                f"values, {tuple(self._last_bar[1:])} and not {tuple(bar[1:])}; a bar counts once"
            )
        if self._journal is not None:
            self._journal.flush()
        return replace(self.last, cached=True)

    @property
    def last_close(self) -> int:
        """The close of the last bar that counts, nanoseconds since 1970 UTC."""
        return self._observations.close

    @property
    def earned(self) -> BookedProfit:
        """What the last bar and its day have earned."""
        with self._lock:
            return self.book.earned

    # --- what else comes ------------------------------------------------------------------------

    def row(self, row: Row) -> None:
        """Book or observe a row of another kind, or both."""
        with self._lock:
            if not self.book.row(row) or self._observations.takes(row):
                self._observe(row)
            self._write([row_entry(row)])

    def warm_up(self, bars: Iterable[Bar]) -> int:
        """Observe bars without deciding on them; returns how many were new."""
        with self._lock:
            fresh = not any(isinstance(entry, Bar) for entry in self._history)
            first = self._loaded.versions[0] if fresh else self._loaded.newest
            after = int(first.data.trained_until_ns) if fresh else self._observations.close
            new = [bar for bar in sorted(bars) if bar.close_time > after]
            if fresh:
                for bar in new:
                    self._history.append(bar)
                self._install(self._loaded, *observe(self._loaded, self._history))
                # With the missing ones between them; the book may be older than the versions.
                since_training = [entry for entry in self._history if isinstance(entry, Bar)]
                self._write([self._skip(bar) for bar in since_training])
                return len(new)
            for bar in new:
                missing = self._closes.between(self._observations.close, bar.close_time)
                self._write([self._pass(each) for each in [*map(missing_bar, missing), bar]])
            return len(new)

    def _pass(self, bar: Bar) -> str:
        """Observe and settle a bar, and decide nothing on it; the line of the journal."""
        self._observe(bar)
        return self._skip(bar)

    def _skip(self, bar: Bar) -> str:
        self.book.skip(bar, self._loaded.newest.cost)
        return warm_entry(bar)

    def switch(self, reason: str) -> None:
        """Note why nothing may be held from now on by a call; empty if it may again."""
        with self._lock:
            self.book.switch = reason
            self._write([line("switch", text(reason))])

    # --- champions ------------------------------------------------------------------------------

    @property
    def loaded(self) -> Loaded:
        """The champions."""
        return self._loaded

    def reload(self, loaded: Loaded) -> None:
        """Take other champions; bars, slots and profit stay.

        Observations are made anew aside, so bars are decided meanwhile, by the former champions;
        where they would be the same they stay.

        Raises:
            NotEnoughBarsError: the newest one was trained until a bar after the last one here, or
                so long ago that the bars since are not in memory.
        """
        with self._reloads:
            with self._lock:
                self._check_age(loaded)
                if self._stays(loaded):
                    self._install(loaded, self._observations, self._history)
                    self._write([champions_entry(loaded, self.limits)])
                    return
                history = self._history.copy()
                meanwhile = self._meanwhile = []
            try:
                observations, history = observe(loaded, history)
            except BaseException:
                self._meanwhile = None
                raise
            with self._lock:
                self._meanwhile = None
                for entry in meanwhile:
                    history.append(entry)
                    if isinstance(entry, Bar) or observations.takes(entry):
                        observations.observe(entry)
                self._install(loaded, observations, history)
                self._write([champions_entry(loaded, self.limits)])

    def _stays(self, loaded: Loaded) -> bool:
        """Whether these champions' observations would be those that there are."""
        first = first_version(loaded, self._history)
        return basis_of(loaded, first) == self._observations.basis

    def _check_age(self, loaded: Loaded) -> None:
        until, last = int(loaded.newest.data.trained_until_ns), self._observations.close
        if until > last:
            raise NotEnoughBarsError(
                f"{loaded.newest.id} was trained until {time_text(until)}, and the last bar closed "
                f"at {time_text(last)}; give the bars until then first"
            )

    def _observe(self, entry: Entry) -> None:
        self._observations.observe(entry)  # which refuses rows of other exchanges
        self._history.append(entry)
        if self._meanwhile is not None:
            self._meanwhile.append(entry)

    def _install(self, loaded: Loaded, observations: Observations, history: History) -> None:
        self._loaded, self._observations, self._history = loaded, observations, history
        data = loaded.newest.data
        self._closes, self.book.opened = ExpectedCloses(data), data.opened
        self.book.adopt(data.rule.fill, data.memory.settlements)
        self._columns = {v.id: observations.columns_of(v.data.names) for v in loaded.versions}

    # --- the journal ----------------------------------------------------------------------------

    def _begin(self, journal: SymbolJournal) -> None:
        """Go on with a journal, or begin a new one."""
        if not journal.files:
            self.rotate()
            return
        state = restore(journal, self.book)
        self.last, self._last_bar = state.last, state.bar
        data = self._loaded.newest.data
        self.book.adopt(data.rule.fill, data.memory.settlements)
        lines = []
        if self.book.close is not None and self.book.close < self._observations.close:
            # The newest version has seen bars that were never given here.
            end = self._observations.close
            between = self._closes.between(self.book.close, end)
            for close in [*between, end]:
                self.book.skip(missing_bar(close), state.cost)
                lines.append(warm_entry(missing_bar(close)))
        limits = replace(self.limits, kill_file=None)
        if (state.cells, state.limits) != (list(self._loaded.cells), limits):
            lines.append(champions_entry(self._loaded, self.limits))
        self._write(lines)

    def _write(self, lines: Sequence[str]) -> None:
        journal = self._journal
        if journal is None or not lines:
            return
        journal.write("".join(lines))
        if journal.full:
            self.rotate()

    def rotate(self) -> None:
        """Begin a new file of the journal."""
        if self._journal is not None:
            first = open_entry(self.name, self.book, self.last, self._last_bar)
            self._journal.rotate(first + champions_entry(self._loaded, self.limits))

    def close(self) -> None:
        """Close the journal."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()


def _same(bar: Bar, other: Bar) -> bool:
    return all(x == y or (isnan(x) and isnan(y)) for x, y in zip(bar[1:], other[1:], strict=True))
