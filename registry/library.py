"""The Brain Library: models, champions and runs on MLflow's tracking server and registry."""

from __future__ import annotations

import datetime as dt
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mlflow.exceptions import MlflowException

from brain.cells import champion_of, champions_of, is_pinned
from brain.errors import (
    InputError,
    LibraryError,
    NoChampionError,
    UnknownSymbolError,
    did_you_mean,
)
from brain.lines import Line, line_of
from brain.model_keys import ModelKey, ModelQuery
from brain.naming import (
    Family,
    Regime,
    Tag,
    parse_model_id,
    parse_regime,
    recipe_tag,
    symbol_name,
)
from brain.recipes import Recipe
from brain.records import CellRecord, Champion, Evidence, Version
from brain.redact import redact
from brain.registered_versions import read_version
from brain.settings import load_settings
from brain.standing import Standing
from brain.symbol_models import SymbolModel, choose_model
from registry.cells import evidence_of, release, run_values, set_champion
from registry.descriptions import describe_model, run_link
from registry.documents import fetch_file, read_documents
from registry.lease import Lease, take_lease
from registry.mlflow_errors import library_errors
from registry.models import ensure_model, find_models
from registry.nights import StoppedNight, find_stopped_night
from registry.opening import open_client
from registry.rankings import read_rankings
from registry.reach import check_reachable
from registry.reader import MlflowReader
from registry.runs import Run
from registry.upkeep import check_writable, reap_runs
from registry.versions import (
    download,
    input_names,
    line_versions,
    newest_version,
    register,
    set_refit,
)

if TYPE_CHECKING:
    from brain.series.store.store import SeriesStore

__all__ = ["BrainLibrary"]

logger = logging.getLogger(__name__)


class BrainLibrary:
    """Models, rankings, champions and market series, for Engine, Mechanic and Hamilton.

    A registered model is of a symbol, a timeframe and a horizon. Methods that read take these: the
    symbol as ``BTC/USDT`` or ``BTC-USDT``, or all three as a :class:`brain.model_keys.ModelKey`.
    Where timeframe or horizon are None, the symbol's only model is taken; where several fit,
    AmbiguousModelError names them.

    Guarantees: a version is visible only once all its files are stored and its digest is tagged; a
    champion's alias moves in one step from one whole version to another; nothing is deleted.

    Every method raises :class:`brain.errors.TrackingUnreachableError` if the tracking server or
    database does not answer, :class:`brain.errors.ArtifactStoreError` if artifacts can't be
    stored or read, and :class:`brain.errors.LibraryError` if the server refuses a request.

    Args:
        dsn: an MLflow tracking URI: ``sqlite:///…``, ``postgresql+psycopg://…`` or ``http://…``.
        series: the series store, or its address: a folder or ``s3://bucket/prefix``. If None, the
            settings ``series`` and ``renamed`` apply.
        renamed: new symbols by old ones, see :class:`brain.series.store.store.SeriesStore`; used
            with an address only.

    Raises:
        SettingsError: the dsn is no such URI.
        TrackingUnreachableError: no server or database answers at the dsn.
    """

    def __init__(
        self,
        dsn: str,
        series: SeriesStore | str | Path | None = None,
        *,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self.dsn = dsn
        self._series = series
        self._renamed = renamed
        check_reachable(dsn)
        with library_errors(dsn, "open the Brain Library"):
            self.client = open_client(dsn)

    def __repr__(self) -> str:
        return f"BrainLibrary({redact(self.dsn)!r})"

    @property
    def series(self) -> SeriesStore:
        """The series store; opened at the first use.

        Raises:
            InputError: the address is neither a folder's nor that of an S3 store.
            SettingsError: the settings can't be read.
        """
        from brain.series.store.store import SeriesStore  # slow to import; not every job needs it

        if self._series is None:
            settings = load_settings()
            self._series = SeriesStore(settings.series, renamed=settings.renamed)
        elif not isinstance(self._series, SeriesStore):
            self._series = SeriesStore(self._series, renamed=self._renamed)
        return self._series

    # --- runs -----------------------------------------------------------------------------------

    def experiment(self, name: str, artifact_root: str | None = None) -> str:
        """The id of an experiment, which is created if there is none of that name.

        Args:
            name: of the experiment.
            artifact_root: address below which a new experiment's artifacts go; where MLflow or its
                server puts them if None.
        """
        with library_errors(self.dsn, f"open experiment {name}"):
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                try:
                    location = f"{artifact_root}/{quote(name)}" if artifact_root else None
                    return str(self.client.create_experiment(name, location))
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    return self.experiment(name)  # another process was first
            if experiment.lifecycle_stage != "active":
                raise LibraryError(
                    f"experiment {name!r} was deleted; restore it or name another one"
                )
            return str(experiment.experiment_id)

    def check(self, experiment: str, artifact_root: str | None = None) -> None:
        """Check that runs can be written: the server answers and artifacts can be stored.

        A fresh database gets its tables and the experiment by this. Nothing else stays behind.
        """
        identifier = self.experiment(experiment, artifact_root)
        with library_errors(self.dsn, "look up the artifact store"):
            root = self.client.get_experiment(identifier).artifact_location
        check_writable(root)

    def lease(
        self,
        experiment: str,
        name: str,
        *,
        wait_seconds: float = 0.0,
        announce: Callable[[str], None] | None = None,
    ) -> Lease:
        """The lease of an experiment, see :func:`registry.lease.take_lease`.

        Args:
            experiment: of the nights, where no run is to be taken over.
            name: of the run.
            wait_seconds: how long another one's end is waited for.
            announce: called once with a line about whom is waited for.

        Raises:
            LeaseError: another process holds the lease.
        """
        return take_lease(
            self.client,
            self._experiment_id(experiment),
            name,
            run_id=os.environ.get("MLFLOW_RUN_ID"),
            wait_seconds=wait_seconds,
            announce=announce,
        )

    def start(
        self,
        experiment: str,
        name: str,
        *,
        tags: Mapping[str, str],
        note: str,
        continues: StoppedNight | None = None,
        lease: Lease | None = None,
        moment: dt.datetime | None = None,
    ) -> Run:
        """Start a run, or take over that of a lease or of the ``mlflow run`` that is our parent.

        Args:
            experiment: of the run, where none is taken over.
            name, tags: of the run.
            note: description, in Markdown.
            continues: the night that the run continues, with its number and day.
            lease: of the night.
            moment: of a night of the past, whose day is the run's; it takes over no run.
        """
        if moment is not None:
            run_id, identifier = None, self.experiment(experiment)
        else:
            run_id = lease.run_id if lease else os.environ.get("MLFLOW_RUN_ID")
            identifier = self._experiment_id(experiment)
        number = continues.number if continues else self._next_number(identifier)
        if continues:
            tags = {**tags, Tag.CONTINUES: continues.run_id}
        if run_id:
            run = Run(self.client, run_id, identifier, name, number=number)
            run.adopt(tags=tags, note=note)
        else:
            run = Run.create(self.client, identifier, name, tags=tags, note=note, number=number)
        if continues:
            run.day = continues.day
        elif moment is not None:
            run.day = f"{moment.astimezone(dt.UTC):%Y-%m-%d}"
        return run

    def stopped_night(self, experiment: str, settings: str) -> StoppedNight | None:
        """The night that the next start with these settings continues, if any.

        See :func:`registry.nights.find_stopped_night`.

        Args:
            experiment: of the nights, where no run is to be taken over.
            settings: digest of the settings.
        """
        return find_stopped_night(self.client, self._experiment_id(experiment), settings)

    def document(self, run_id: str, file: str) -> dict[str, Any]:
        """A JSON document among a run's artifacts."""
        (document,) = read_documents(self.client, {run_id: file}, file)
        return document

    def _experiment_id(self, experiment: str) -> str:
        """The id of the experiment in which this process' run is."""
        run_id = os.environ.get("MLFLOW_RUN_ID")
        if not run_id:
            return self.experiment(experiment)
        with library_errors(self.dsn, f"take over run {run_id}"):
            return str(self.client.get_run(run_id).info.experiment_id)

    def _next_number(self, experiment_id: str) -> int:
        """The number of the job that starts now: one more than the latest one's."""
        with library_errors(self.dsn, "look for the latest night"):
            latest = self.client.search_runs(
                [experiment_id],
                filter_string=f"tags.{Tag.NIGHT} LIKE '%'",
                order_by=["attributes.start_time DESC"],
                max_results=1,
            )
        number = latest[0].data.tags[Tag.NIGHT] if latest else "0"
        return int(number) + 1 if number.isdecimal() else 1

    def reap(self, *, after_hours: float = 24.0) -> list[str]:
        """End the runs whose process is dead, in every experiment: as KILLED, if not complete.

        Their logged models of which no version was registered are deleted.

        Only runs that this library or an ``mlflow run`` of this project has started.

        Args:
            after_hours: age from which a run of another host, whose processes this host can't
                see, counts as dead, unless it has a heartbeat.

        Returns:
            The ids of the ended runs.
        """
        return reap_runs(self.client, after_hours)

    def rankings(
        self,
        symbol: str | ModelKey,
        since: dt.date,
        until: dt.date,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> list[tuple[dt.date, dict[str, Any]]]:
        """The rankings of a symbol's nights, see :func:`registry.rankings.read_rankings`."""
        query = ModelQuery.parse(symbol, timeframe, horizon)
        return read_rankings(self.client, query, since, until)

    # --- models ---------------------------------------------------------------------------------

    def add_version(
        self,
        run: Run,
        key: ModelKey,
        family: Family,
        folder: Path,
        *,
        tags: Mapping[str, str],
        hyperparameters: Mapping[str, Any],
        note: str,
    ) -> Version:
        """Register a model folder as the next version of the key's model.

        Args:
            run: of the training; MLflow compares versions by its metrics.
            key, family: of the version.
            folder: a whole MLflow model folder; the manifest is written to it.
            tags: of the version, see :class:`brain.naming.Tag`; the key's and the digest are
                added.
            hyperparameters: shown with the model.
            note: description of the version.
        """
        return register(
            self.client,
            run,
            key,
            family,
            folder,
            tags=tags,
            hyperparameters=hyperparameters,
            note=note,
        )

    def version(
        self,
        symbol: str | ModelKey,
        number: int,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Version:
        """A version of the symbol's model.

        Raises:
            UnknownSymbolError: the symbol has no such model.
            AmbiguousModelError: it has several.
            LibraryError: there is no such version, or the Brain Library has not registered it.
        """
        model = self.model(symbol, timeframe=timeframe, horizon=horizon)
        return read_version(self._reader, model.name, number)

    def version_of(self, model_id: str) -> Version:
        """The version of a model id, ``BTC-USDT.1h.6/7``.

        Raises:
            InputError: the id is none.
            LibraryError: there is no such version, or the Brain Library has not registered it.
        """
        return read_version(self._reader, *parse_model_id(model_id))

    def version_in(self, query: ModelQuery, model_id: str) -> Version:
        """As :meth:`version_of`, of one of the models that are asked for.

        Raises:
            InputError: the id is none, or of another model.
            LibraryError: there is no such version, or the Brain Library has not registered it.
        """
        name, number = parse_model_id(model_id)
        plain = symbol_name(query.symbol)
        if name != plain and not name.startswith(f"{plain}."):
            raise InputError(
                f"model {model_id!r} is not one of {query.symbol}; name one as {plain}.1h.6/7"
            )
        version = read_version(self._reader, name, number)
        if not query.fits(version.key):
            raise InputError(
                f"model {model_id!r} is of {version.key}, and not of {query}; name one"
            )
        return version

    def run_of(self, version: Version, number: int = 0) -> Run:
        """The run that trained a version, to add to it.

        Args:
            version: of any symbol and family.
            number: of the present job, the step of the metrics that are added; see
                :attr:`registry.runs.Run.number`.
        """
        with library_errors(self.dsn, f"find the run of {version.id}"):
            info = self.client.get_run(version.run_id).info
        return Run(self.client, info.run_id, info.experiment_id, info.run_name, number=number)

    def run_values(self, version: Version) -> tuple[dict[str, str], dict[str, float]]:
        """Parameters and metrics of the run that trained a version; of a metric the last value."""
        return run_values(self.client, version)

    def evidence(self, version: Version, regime: Regime | None = None) -> Evidence:
        """A version's evidence in a regime, or over all bars if None, by the metrics of its run."""
        return evidence_of(self.client, version, regime)

    def newest(
        self,
        symbol: str | ModelKey,
        family: Family,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Version | None:
        """The newest version of a family; None if the symbol has none."""
        model = self._find(ModelQuery.parse(symbol, timeframe, horizon))
        if model is None:
            return None
        return newest_version(self.client, model.name, model.key, family)

    def line_versions(
        self, key: ModelKey, line: str, *, oldest_first: bool = False
    ) -> Iterator[Version]:
        """A line's versions of a key, see :func:`registry.versions.line_versions`.

        Args:
            key: of the versions; one without a model has none.
            line: id of the line.
            oldest_first: whether they come in the order in which they were registered.
        """
        # The key's own name comes first, see find_models; it is not looked up at every call.
        versions = line_versions(self.client, key.name, line, oldest_first=oldest_first)
        if (first := next(versions, None)) is not None:
            yield first
            yield from versions
            return
        model = self._find(ModelQuery.parse(key))
        if model is not None and model.name != key.name:
            yield from line_versions(self.client, model.name, line, oldest_first=oldest_first)

    def set_refit(self, version: Version, outcome: str) -> None:
        """Store the outcome of a version's refit check, which its attribute ``refit`` then is."""
        set_refit(self.client, version, outcome)

    def fetch(self, version: Version, folder: Path) -> Path:
        """Download a version's files and check them against its digest, before anything reads them.

        Args:
            version: of any symbol and family.
            folder: the files go to a new folder below it.

        Returns:
            The folder that holds the model.

        Raises:
            ArtifactStoreError: the files are missing.
            ModelIntegrityError: the files differ from the registered ones.
        """
        return download(self.client, version, folder)

    def files(self, model_id: str) -> dict[str, bytes]:
        """A version's files by their names, for an executor; see :meth:`fetch`.

        Raises:
            InputError: the id is none.
            LibraryError: there is no such version, or the Brain Library has not registered it.
            ArtifactStoreError: the files are missing.
            ModelIntegrityError: the files differ from the registered ones.
        """
        with tempfile.TemporaryDirectory() as scratch:
            folder = self.fetch(self.version_of(model_id), Path(scratch))
            paths = [path for path in folder.rglob("*") if path.is_file()]
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    def run_files(self, version: Version) -> frozenset[str]:
        """The names of the files and folders on the run that trained a version."""
        with library_errors(self.dsn, f"list the files of {version.id}'s run"):
            return frozenset(file.path for file in self.client.list_artifacts(version.run_id))

    def fetch_run_file(self, version: Version, file: str, folder: Path) -> Path:
        """Download a file of the run that trained a version.

        Args:
            version: of any symbol and family.
            file: its name.
            folder: where it goes; made if it is missing.

        Raises:
            ArtifactStoreError: there is no such file, or it can't be read.
        """
        return fetch_file(self.client, version.run_id, file, folder, f"{version.id}'s {file}")

    def input_names(self, folder: Path) -> tuple[str, ...] | None:
        """The names of a downloaded model's inputs, in the order of its signature.

        Args:
            folder: the model's, as :meth:`registry.library.BrainLibrary.fetch` returns it.

        Returns:
            The names; None if the model has no signature.

        Raises:
            LibraryError: the folder holds no model that MLflow can read.
        """
        with library_errors(self.dsn, f"read the signature of the model in {folder}"):
            return input_names(folder)

    def symbols(self) -> list[str]:
        """The symbols that have a model, sorted."""
        return sorted({model.symbol for model in find_models(self.client)})

    def recipe(
        self,
        symbol: str | ModelKey,
        family: Family,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> str | None:
        """The family's current recipe for the symbol, as JSON; None if none is stored."""
        model = self._find(ModelQuery.parse(symbol, timeframe, horizon))
        return model.recipe(family) if model else None

    def lines(self) -> dict[ModelKey, list[Line]]:
        """The lines of each model's current recipes, from one search.

        Recipes that can't be read are left out, and the log says why.
        """
        lines: dict[ModelKey, list[Line]] = {}
        for model in find_models(self.client):
            of_model = lines.setdefault(model.key, [])
            for text in filter(None, map(model.recipe, Family)):
                try:
                    of_model.append(line_of(Recipe.from_json(text)))
                except InputError as error:
                    logger.warning("%s: %s", model.key, error)
        return lines

    def set_recipe(self, key: ModelKey, family: Family, recipe: str) -> None:
        """Store the family's current recipe for a model."""
        with library_errors(self.dsn, f"store the recipe of {family} for {key}"):
            name = ensure_model(self.client, key)
            self.client.set_registered_model_tag(name, recipe_tag(family), recipe)

    # --- champions ------------------------------------------------------------------------------

    def champion(
        self,
        symbol: str | ModelKey,
        regime: Regime | str,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Champion:
        """The champion of a cell: the version that the alias is at, also if it was set by hand.

        Raises:
            LibraryError: the cell's record can't be read, or the alias is at a version that the
                Brain Library has not registered, or that is of another timeframe or horizon.
            UnknownSymbolError: the symbol has no such model.
            AmbiguousModelError: it has several.
            UnknownRegimeError: there is no such regime.
            NoChampionError: the cell has no champion yet.
        """
        query, regime = ModelQuery.parse(symbol, timeframe, horizon), parse_regime(regime)
        return self.champion_in(self._one(query), regime)

    def champions(
        self,
        symbol: str | ModelKey | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> list[Champion]:
        """The champions of all cells, by model key and regime, from one search.

        A cell whose champion can't be read is left out, and the log says why.

        Args:
            symbol: only the cells of this symbol's model, none if it has none; all cells if None.
            timeframe, horizon: only the cells of such models.

        Raises:
            AmbiguousModelError: the symbol has several such models.
        """
        if symbol is not None:
            model = self._find(ModelQuery.parse(symbol, timeframe, horizon))
            return self._champions_of(model) if model else []
        return [
            champion
            for model in find_models(self.client)
            if ModelQuery(model.symbol, timeframe, horizon).fits(model.key)
            for champion in self._champions_of(model)
        ]

    def set_champion(
        self,
        symbol: str | ModelKey,
        regime: Regime,
        record: CellRecord,
        challenger: int | None,
    ) -> bool:
        """Make a version the champion of a cell, unless the cell is pinned.

        The champion before it gets the alias ``previous-<regime>``. A cell is pinned if its alias
        was moved by hand, see :mod:`brain.cells`: it keeps its champion, and the version becomes
        its challenger.

        Args:
            symbol, regime: of the cell.
            record: of the new champion.
            challenger: version that gets the challenger's alias; None leaves that alias where it
                is.

        Returns:
            Whether the version is the champion now.

        Raises:
            UnknownSymbolError: the symbol has no model.
            AmbiguousModelError: it has several.
        """
        return set_champion(self.client, self.model(symbol), regime, record, challenger)

    def is_pinned(self, model: SymbolModel, regime: Regime) -> bool:
        """Whether a cell's champion was moved by hand, by the registered model of its symbol."""
        return is_pinned(model, regime)

    def release(
        self,
        symbol: str | ModelKey,
        regime: Regime | str,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Champion:
        """End a cell's pin. The alias stays where it is until the next night names the champion.

        Returns:
            The cell's champion, no longer pinned.

        Raises:
            InputError: the cell is not pinned.
            LibraryError: the alias is at a version that is of no use here, see
                :meth:`registry.library.BrainLibrary.champion`.
            UnknownSymbolError: the symbol has no such model.
            AmbiguousModelError: it has several.
            UnknownRegimeError: there is no such regime.
        """
        regime = parse_regime(regime)
        model = self.model(symbol, timeframe=timeframe, horizon=horizon)
        return release(self.client, model, regime)

    def describe(
        self, symbol: str | ModelKey, links: Mapping[int, str], night: str
    ) -> list[Standing]:
        """Write the champions of a model's cells, and why, into its description.

        Args:
            symbol: one without a model has no description to write.
            links: pages of the runs of the versions that the night trained, by version; see
                :func:`registry.descriptions.run_link`.
            night: date of the night, ISO 8601.

        Returns:
            The champions that can be read, as the night leaves them.
        """
        model = self._find(ModelQuery.parse(symbol))
        if model is None:
            return []
        champions = self._champions_of(model)
        standings = [Standing(c, night, trained=c.version in links) for c in champions]
        earlier = {c.version: self._page(c.model_id) for c in champions if c.version not in links}
        text = describe_model(model.description, model.key, standings, {**links, **earlier})
        with library_errors(self.dsn, f"describe the model of {model.key}"):
            self.client.update_registered_model(model.name, text)
        return standings

    def model(
        self,
        symbol: str | ModelKey,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> SymbolModel:
        """The symbol's registered model: aliases and records of all its cells in one request.

        Raises:
            UnknownSymbolError: the symbol has no such model.
            AmbiguousModelError: it has several.
        """
        return self._one(ModelQuery.parse(symbol, timeframe, horizon))

    def champion_in(self, model: SymbolModel, regime: Regime) -> Champion:
        """The champion of a cell, by the registered model of its symbol.

        Args:
            model: of the symbol, see :meth:`registry.library.BrainLibrary.model`.
            regime: of the cell.

        Raises:
            NoChampionError: the cell has no champion yet.
            LibraryError: as for :meth:`registry.library.BrainLibrary.champion`.
        """
        champion = champion_of(self._reader, model, regime)
        if champion is None:
            raise NoChampionError(
                f"{model.key} has no champion for regime {regime}; run the nightly job for it"
            )
        return champion

    # --- helpers --------------------------------------------------------------------------------

    @property
    def _reader(self) -> MlflowReader:
        return MlflowReader(self.client)

    def _page(self, model_id: str) -> str:
        """The page of a version's run."""
        run = self.run_of(self.version_of(model_id))
        return run_link(run.experiment_id, run.id)

    def _find(self, query: ModelQuery) -> SymbolModel | None:
        """The one model that fits, from one search; None if none does."""
        return choose_model(find_models(self.client, query.symbol), query)

    def _one(self, query: ModelQuery) -> SymbolModel:
        models = find_models(self.client, query.symbol)
        model = choose_model(models, query)
        if model is not None:
            return model
        if models:
            names = ", ".join(f"{model.name} ({model.key})" for model in models)
            raise UnknownSymbolError(f"no model of {query} is registered; there is {names}")
        raise UnknownSymbolError(
            f"no model of {query.symbol!r} is registered; "
            f"{did_you_mean(query.symbol, self.symbols())}"
        )

    def _champions_of(self, model: SymbolModel) -> list[Champion]:
        return champions_of(self._reader, model)
