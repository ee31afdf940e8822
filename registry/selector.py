"""Which model to use now: Hamilton's questions to the Brain Library.

Every answer is a frozen value with its reason. The selector decides nothing: promotions do, and it
reads the champions' aliases and records.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from brain.confidence import MIN_EPISODES, Confidence, Prior, confidence, position_size
from brain.errors import LibraryError, NoChampionError
from brain.model_keys import ModelKey, ModelQuery
from brain.naming import (
    Family,
    Regime,
    challenger_alias,
    model_id as id_of,
    parse_family,
    parse_regime,
)
from brain.records import (
    CellRecord,
    Champion,
    FamilyAdvice,
    Selection,
    SwitchAdvice,
    Version,
    age_days,
)
from brain.sizing import AGE, age_factor, lowered_by
from brain.symbol_models import SymbolModel
from registry.library import BrainLibrary
from registry.promotion.advice import advise_family

__all__ = ["ModelSelector"]


class ModelSelector:
    """Answers from the registry's aliases and records, by one request to it where possible.

    Symbols may be written ``BTC/USDT`` or ``BTC-USDT``; regimes and families by name. Where a
    symbol has models of several timeframes or horizons, these are to be named, or a
    :class:`brain.model_keys.ModelKey` given, else AmbiguousModelError names the models.

    Every method raises :class:`brain.errors.TrackingUnreachableError` if the tracking server or
    database does not answer, and :class:`brain.errors.LibraryError` if it refuses a request.

    Args:
        brain_library: the library whose champions and versions it answers from.
    """

    def __init__(self, brain_library: BrainLibrary) -> None:
        self.library = brain_library

    def select_model_for_symbol(
        self,
        symbol: str | ModelKey,
        volatility_regime: Regime | str,
        model_type_preference: Family | str | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Selection:
        """The version to use: the cell's champion, unless a family is preferred.

        A preference is served by the cell's champion or challenger if it is of that family, else by
        the family's newest version, also where the cell has no champion.

        Raises:
            InputError: the symbol is none.
            UnknownSymbolError: the symbol has no such model.
            AmbiguousModelError: it has several.
            UnknownRegimeError, UnknownFamilyError: there is no such regime or family.
            NoChampionError: the cell has no champion, and no family is preferred.
            LibraryError: the symbol has no version of the preferred family.
        """
        regime = parse_regime(volatility_regime)
        family = None if model_type_preference is None else parse_family(model_type_preference)
        model = self.library.model(symbol, timeframe=timeframe, horizon=horizon)
        if family is None:
            return _trusted(self.library.champion_in(model, regime), datetime.now(UTC))
        try:
            champion = _trusted(self.library.champion_in(model, regime), datetime.now(UTC))
        except NoChampionError:
            champion = None
        if champion and champion.family == family:
            return replace(champion, reason=f"champion, of the preferred family: {champion.reason}")
        return self._preferred(model, regime, family, champion)

    def recommend_family(
        self, regime: Regime | str, *, timeframe: str | None = None, horizon: int | None = None
    ) -> FamilyAdvice:
        """The family to expect most of in a regime, from the champions of all symbols.

        See :func:`registry.promotion.advice.advise_family`; one search brings all champions.

        Args:
            regime: of the champions.
            timeframe, horizon: of the champions; any if None.

        Raises:
            UnknownRegimeError: there is no such regime.
        """
        regime = parse_regime(regime)
        # An alias that was moved by hand is no evidence.
        records = [
            champion.record
            for champion in self.library.champions(timeframe=timeframe, horizon=horizon)
            if champion.regime == regime and not champion.pinned
        ]
        return advise_family(regime, records)

    def get_model_confidence(
        self,
        symbol: str | ModelKey,
        volatility_regime: Regime | str | None = None,
        model_id: str | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
        moment: datetime | None = None,
    ) -> Confidence:
        """The probability that a version's net Sharpe is above 0, out of sample and after costs.

        Beside it the probability that the next block's profit is, an interval, and the size that
        follows. Of a champion they are those of its record, by the frozen evidence of all cells; of
        another version by its own walk-forward, after what the champion's record says of all cells.

        Args:
            symbol: of the model.
            volatility_regime: of the bars; all bars if None.
            model_id: of the version; if None the regime's champion, and without a regime the
                version that is champion of the most regimes, the newest of several.
            timeframe, horizon: of the model; a model id tells them.
            moment: for which the size is meant, with its zone: it falls with the version's age. Now
                if None.

        Raises:
            InputError: the symbol or the model id is none, or the model is another one's.
            UnknownSymbolError: the symbol has no such model.
            AmbiguousModelError: it has several.
            UnknownRegimeError: there is no such regime.
            NoChampionError: a champion is needed and there is none.
            LibraryError: there is no such version.
        """
        query = ModelQuery.parse(symbol, timeframe, horizon)
        regime = None if volatility_regime is None else parse_regime(volatility_regime)
        moment = moment or datetime.now(UTC)
        if model_id is not None:
            version = self.library.version_in(query, model_id)
            return self._of_version(self.library.model(version.key), version, regime, moment)
        model = self.library.model(symbol, timeframe=timeframe, horizon=horizon)
        if regime is not None:
            return _recorded(self.library.champion_in(model, regime).record, moment)
        number, cells = _leader(model)
        leader = id_of(model.name, number)
        over_all = self._measured(self.library.version_of(leader), None, Prior(), moment)
        cells_of = f"{leader}, champion of {cells} of {len(Regime)} regimes"
        return replace(over_all, reason=f"{cells_of}, over all bars: {over_all.reason}")

    def should_switch_model(
        self,
        symbol: str | ModelKey,
        current_model_id: str,
        volatility_regime: Regime | str,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> SwitchAdvice:
        """Whether the regime's champion is another version than the one in use.

        Args:
            symbol: of the model.
            current_model_id: of the version in use; it tells timeframe and horizon.
            volatility_regime: of the cell.
            timeframe, horizon: of the model, to be checked.

        Raises:
            InputError: the symbol or the model id is none, or the model is another one's.
            UnknownSymbolError: the symbol has no such model.
            UnknownRegimeError: there is no such regime.
            NoChampionError: the regime has no champion.
            LibraryError: there is no such version.
        """
        query, regime = (
            ModelQuery.parse(symbol, timeframe, horizon),
            parse_regime(volatility_regime),
        )
        current = self.library.version_in(query, current_model_id)
        champion = self.library.champion_in(self.library.model(current.key), regime)
        if current.id == champion.model_id:
            reason = f"{current.id} is champion of regime {regime}"
            return SwitchAdvice(False, champion.model_id, reason)
        record = champion.record
        refit = ", a refit of the same recipe" if record.recipe == current.recipe else ""
        return SwitchAdvice(
            True,
            champion.model_id,
            f"champion of regime {regime} is {champion.model_id} ({record.family}{refit}), "
            f"not {current.id} ({current.family}): {record.reason}",
        )

    # --- helpers --------------------------------------------------------------------------------

    def _preferred(
        self, model: SymbolModel, regime: Regime, family: Family, champion: Selection | None
    ) -> Selection:
        """The challenger if it is of the family, else the family's newest version."""
        trusted = f"{champion.model_id}, {champion.family}" if champion else "none"
        reason = f"{family} is preferred; not the champion of regime {regime} ({trusted}), but "
        challenger = model.challenger(regime)
        if challenger is not None:
            version = self.library.version_of(id_of(model.name, challenger))
            if version.family == family and version.key == model.key:
                uri = f"models:/{model.name}@{challenger_alias(regime)}"
                return self._selection(model, version, regime, uri, f"{reason}its challenger")
        newest = self.library.newest(model.key, family)
        if newest is None:
            raise LibraryError(
                f"{model.key} has no version of family {family}; prefer another one or train it"
            )
        return self._selection(
            model, newest, regime, f"models:/{newest.id}", f"{reason}the family's newest version"
        )

    def _selection(
        self, model: SymbolModel, version: Version, regime: Regime, uri: str, reason: str
    ) -> Selection:
        """A version without a record as a selection: its evidence comes from its run."""
        sure = self._of_version(model, version, regime, datetime.now(UTC))
        return Selection(
            key=version.key,
            regime=regime,
            model_id=version.id,
            uri=uri,
            version=version.number,
            family=version.family,
            recipe=version.recipe,
            trained_until=version.trained_until,
            digest=version.digest,
            confidence=sure,
            is_champion=False,
            reason=reason,
        )

    def _of_version(
        self, model: SymbolModel, version: Version, regime: Regime | None, moment: datetime
    ) -> Confidence:
        """Of a version that may be the regime's champion."""
        prior = Prior()
        if regime is not None and model.champion(regime) is not None:
            champion = self.library.champion_in(model, regime)
            if champion.version == version.number:
                return _recorded(champion.record, moment)
            if champion.record.posterior is not None:
                prior = champion.record.posterior.prior
        return self._measured(version, regime, prior, moment)

    def _measured(
        self, version: Version, regime: Regime | None, prior: Prior, moment: datetime
    ) -> Confidence:
        """The confidence by the metrics of the version's run; over all bars if without a regime."""
        evidence = self.library.evidence(version, regime)
        over_all = evidence if regime is None else self.library.evidence(version, None)
        sure = confidence(
            evidence.net_sharpe.value,
            evidence.net_sharpe.error,
            evidence.bars,
            evidence.episodes,
            min_episodes=1 if regime is None else MIN_EPISODES,
            prior=prior,
            share=evidence.share_of(over_all),
        )
        return sure.with_factors(age_factor(age_days(version.trained_until, moment)))


def _trusted(champion: Champion, moment: datetime) -> Selection:
    """The champion as a selection, by its record, for a moment."""
    record = champion.record
    return Selection(
        key=champion.key,
        regime=champion.regime,
        model_id=champion.model_id,
        uri=champion.uri,
        version=champion.version,
        family=record.family,
        recipe=record.recipe,
        trained_until=record.trained_until,
        digest=record.digest,
        confidence=_recorded(record, moment),
        is_champion=True,
        reason=record.reason,
    )


def _leader(model: SymbolModel) -> tuple[int, int]:
    """The version that is champion of the most regimes, the newest of several; and of how many."""
    champions = [model.champion(regime) for regime in Regime]
    counts = Counter(number for number in champions if number is not None)
    if not counts:
        raise NoChampionError(
            f"{model.key} has no champion for any regime; run the nightly job for it"
        )
    cells, number = max((cells, number) for number, cells in counts.items())
    return number, cells


def _recorded(record: CellRecord, moment: datetime) -> Confidence:
    """The confidence in the record, and the size at a moment."""
    sure = _of_record(record)
    size, age = record.size_at(moment), age_factor(record.age_days(moment))
    if size is None:  # not judged
        return sure.with_factors(age)
    factors = (*(f for f in record.factors if f.name != AGE), age)
    reason = record.size_reason
    if size > 0.0:
        reason = lowered_by(factors)
    return replace(sure, size=size, size_reason=reason, factors=factors)


def _of_record(record: CellRecord) -> Confidence:
    """The probability by the record; of before there were posteriors by its evidence of bars."""
    measured = confidence(record.net_sharpe, record.net_sharpe_error, record.bars, record.episodes)
    posterior = record.posterior
    if posterior is not None:
        of_nights = posterior.nights is not None
        return Confidence(
            posterior.positive,
            posterior.measured,
            posterior.error,
            None if of_nights else record.bars,
            None if of_nights else record.episodes,
            str(posterior) if of_nights else measured.reason,
            posterior,
            posterior.size,
        )
    if record.confidence is None or record.confidence == measured.probability:
        return measured
    reason = f"as recorded; {measured.reason}"
    size = position_size(record.confidence, 1.0)
    return replace(
        measured, probability=record.confidence, posterior=None, size=size, reason=reason
    )
