"""The Brain Library: models, champions and runs on MLflow's tracking server and registry."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from registry.champions import CellRecord
from registry.descriptions import describe_model
from registry.entries import Champion, Version, champion_of, version_of
from registry.errors import (
    ArtifactStoreError,
    LibraryError,
    NoChampionError,
    UnknownSymbolError,
    did_you_mean,
)
from registry.manifest import check_folder, write_manifest
from registry.mlflow_errors import library_errors, redact
from registry.naming import (
    Family,
    Regime,
    Tag,
    cell_tag,
    challenger_alias,
    champion_alias,
    model_name,
    parse_regime,
    parse_symbol,
    previous_alias,
    recipe_tag,
)
from registry.reach import check_reachable
from registry.runs import Run
from registry.upkeep import check_writable, is_dead

__all__ = ["BrainLibrary", "Champion", "Version"]

logger = logging.getLogger(__name__)

_TRACKING_URI = "MLFLOW_TRACKING_URI"
_ONE_AT_A_TIME = threading.Lock()


class BrainLibrary:
    """The memory of Engine, Mechanic and Hamilton.

    Guarantees: a version is visible only once all its files are stored and its digest is tagged; a
    champion's alias moves in one step from one whole version to another; nothing is deleted.

    Every method raises :class:`~registry.errors.TrackingUnreachableError` if the tracking server or
    database does not answer, :class:`~registry.errors.ArtifactStoreError` if artifacts can't be
    stored or read, and :class:`~registry.errors.LibraryError` if the server refuses what was asked.

    Args:
        dsn: an MLflow tracking URI: ``sqlite:///…``, ``postgresql+psycopg://…`` or ``http://…``.

    Raises:
        SettingsError: the dsn is no such URI.
        TrackingUnreachableError: nobody answers there.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        check_reachable(dsn)
        with library_errors(dsn, "open the Brain Library"):
            self.client = MlflowClient(tracking_uri=dsn, registry_uri=dsn)

    def __repr__(self) -> str:
        return f"BrainLibrary({redact(self.dsn)!r})"

    # --- runs -----------------------------------------------------------------------------------

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made if there is none."""
        with library_errors(self.dsn, f"open experiment {name}"):
            found = self.client.get_experiment_by_name(name)
            if found is None:
                return str(self.client.create_experiment(name))
            if found.lifecycle_stage != "active":
                raise LibraryError(
                    f"experiment {name!r} was deleted; restore it or name another one"
                )
            return str(found.experiment_id)

    def check(self, experiment: str) -> None:
        """Check that runs can be written: the server answers and artifacts can be stored.

        A fresh database gets its tables and the experiment here. Nothing else is left behind.
        """
        identifier = self.experiment(experiment)
        with library_errors(self.dsn, "look up the artifact store"):
            root = self.client.get_experiment(identifier).artifact_location
        check_writable(root)

    def start(self, experiment: str, name: str, *, tags: Mapping[str, str], note: str) -> Run:
        """Start a run, or take over the one that ``mlflow run`` has created for this process."""
        created = os.environ.get("MLFLOW_RUN_ID")
        if not created:
            identifier = self.experiment(experiment)
            number = self._next_number(identifier)
            return Run.create(self.client, identifier, name, tags=tags, note=note, number=number)
        identifier = self._experiment_of(created)
        number = self._next_number(identifier)
        run = Run(self.client, created, identifier, name, number=number)
        run.adopt(tags=tags, note=note)
        return run

    def _experiment_of(self, run_id: str) -> str:
        with library_errors(self.dsn, f"look up run {run_id}"):
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

    def reap(self, experiment: str, *, after_hours: float = 24.0) -> list[str]:
        """End the runs whose process is dead, as KILLED.

        Args:
            experiment: whose runs to look at. If ``mlflow run`` started this process in another
                one, that one's runs are looked at as well.
            after_hours: age from which a run of another host, whose processes can't be seen from
                here, counts as dead.

        Returns:
            The ids of the ended runs.
        """
        created = os.environ.get("MLFLOW_RUN_ID")
        identifiers = {self.experiment(experiment)}
        if created:
            identifiers.add(self._experiment_of(created))
        with library_errors(self.dsn, "look for runs of dead processes"):
            running = self.client.search_runs(
                sorted(identifiers),
                filter_string="attributes.status = 'RUNNING'",
                max_results=5000,
            )
            dead = [run for run in running if is_dead(run, after_hours)]
            for run in dead:
                self.client.set_terminated(run.info.run_id, "KILLED")
                logger.warning("ended run %s, whose process is dead", run.info.run_name)
        return [run.info.run_id for run in dead]

    # --- models ---------------------------------------------------------------------------------

    def add_version(
        self,
        run: Run,
        symbol: str,
        family: Family,
        folder: Path,
        *,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        note: str,
    ) -> Version:
        """Register a model folder as the symbol's next version.

        Args:
            run: the run that made it; its metrics are what MLflow compares versions by.
            folder: a whole MLflow model folder; its manifest is written here.
            tags: of the version, see :class:`registry.naming.Tag`; the digest is added.
            params: hyperparameters, shown with the model.
            note: description of the version.
        """
        name = model_name(symbol)
        with library_errors(self.dsn, f"register {family} for {symbol}"):
            logged = self.client.create_logged_model(
                run.experiment_id,
                name=f"{name}-{family}",
                source_run_id=run.id,
                tags=dict(tags),
                params={k: str(v) for k, v in params.items()},
                model_type=str(family),
            )
            try:
                digest = _stamp(folder, logged.model_id, run.id)
                self.client.log_model_artifacts(logged.model_id, str(folder))
            except BaseException:
                self.client.finalize_logged_model(logged.model_id, "FAILED")
                raise
            self.client.finalize_logged_model(logged.model_id, "READY")
            self.client.log_outputs(run.id, [LoggedModelOutput(logged.model_id, 0)])
            self._ensure_model(symbol)
            with _tracking_at(self.dsn):
                made = self.client.create_model_version(
                    name,
                    source=f"models:/{logged.model_id}",
                    run_id=run.id,
                    tags={**tags, Tag.DIGEST: digest},
                    description=note,
                    model_id=logged.model_id,
                )
            # What the UI's list of models shows a model's versions by.
            self.client.set_logged_model_tags(
                logged.model_id,
                {MLFLOW_MODEL_VERSIONS: json.dumps([{"name": name, "version": made.version}])},
            )
        return version_of(symbol, made)

    def version(self, symbol: str, number: int) -> Version:
        """A version of the symbol's model."""
        with library_errors(self.dsn, f"read version {number} of {symbol}"):
            return version_of(
                symbol, self.client.get_model_version(model_name(symbol), str(number))
            )

    def fetch(self, version: Version, folder: Path) -> Path:
        """Download a version's files and check them against its digest, before anything reads them.

        Args:
            version: which.
            folder: where to; the files come into a folder of their own below it.

        Returns:
            The folder that holds the model.

        Raises:
            ArtifactStoreError: the files are gone.
            ModelIntegrityError: they are not those that were registered.
        """
        doing = f"fetch {version.id}"
        with library_errors(self.dsn, doing):
            logged = self.client.get_logged_model(version.logged_model_id)
            try:
                fetched = mlflow.artifacts.download_artifacts(
                    logged.artifact_location,
                    dst_path=str(folder / f"{model_name(version.symbol)}-{version.number}"),
                    tracking_uri=self.dsn,
                )
            except MlflowException as error:
                raise ArtifactStoreError(
                    f"could not {doing}: {error.message}; restore its files or train it anew"
                ) from error
        check_folder(Path(fetched), version.digest)
        return Path(fetched)

    def symbols(self) -> list[str]:
        """The symbols that have a model, sorted."""
        return sorted(m.tags[Tag.SYMBOL] for m in self._models())

    def recipe(self, symbol: str, family: Family) -> str | None:
        """The family's current recipe for the symbol, as JSON; None if none is stored."""
        model = self._find(symbol)
        return model.tags.get(recipe_tag(family)) if model else None

    def set_recipe(self, symbol: str, family: Family, recipe: str) -> None:
        """Store the family's current recipe for the symbol."""
        with library_errors(self.dsn, f"store the recipe of {family} for {symbol}"):
            self._ensure_model(symbol)
            self.client.set_registered_model_tag(model_name(symbol), recipe_tag(family), recipe)

    # --- champions ------------------------------------------------------------------------------

    def champion(self, symbol: str, regime: Regime | str) -> Champion:
        """The champion of a cell.

        Raises:
            UnknownSymbolError: the symbol has no model.
            UnknownRegimeError: there is no such regime.
            NoChampionError: the cell has no champion yet.
        """
        symbol, regime = parse_symbol(symbol), parse_regime(regime)
        model = self._find(symbol)
        if model is None:
            raise UnknownSymbolError(
                f"no model of {symbol!r} is registered; {did_you_mean(symbol, self.symbols())}"
            )
        champion = champion_of(model, regime)
        if champion is None:
            raise NoChampionError(
                f"{symbol} has no champion for regime {regime}; run the nightly job for it"
            )
        return champion

    def champions(self) -> list[Champion]:
        """The champions of all cells, by symbol and regime, from one search."""
        found = (champion_of(m, r) for m in self._models() for r in Regime)
        return sorted(
            (c for c in found if c),
            key=lambda c: (c.symbol, list(Regime).index(c.regime)),
        )

    def set_champion(
        self, symbol: str, regime: Regime, record: CellRecord, challenger: int | None
    ) -> None:
        """Make a version the champion of a cell.

        What was champion before keeps the alias ``previous-<regime>``. The record is written before
        the alias moves: it names its own version, so a reader sees either the old pair or the new.
        """
        name = model_name(symbol)
        with library_errors(self.dsn, f"name the champion of {symbol} in regime {regime}"):
            aliases = self.client.get_registered_model(name).aliases
            before = aliases.get(champion_alias(regime))
            if challenger is not None:
                self._alias(name, challenger_alias(regime), challenger)
            if before is not None and int(before) != record.version:
                self._alias(name, previous_alias(regime), int(before))
            self.client.set_registered_model_tag(name, cell_tag(regime), record.to_json())
            self._alias(name, champion_alias(regime), record.version)

    def describe(self, symbol: str, links: Mapping[int, str]) -> None:
        """Write into the description of the symbol's model who is champion of what, and why.

        Args:
            links: pages of the runs that made the versions, by version, as far as known; see
                :func:`registry.descriptions.run_link`.
        """
        model = self._find(symbol)
        if model is None:
            return
        champions = [c for c in (champion_of(model, regime) for regime in Regime) if c]
        text = describe_model(model.description, symbol, champions, links)
        with library_errors(self.dsn, f"describe the model of {symbol}"):
            self.client.update_registered_model(model.name, text)

    # --- helpers --------------------------------------------------------------------------------

    def _alias(self, name: str, alias: str, version: int) -> None:
        try:
            self.client.set_registered_model_alias(name, alias, str(version))
        except MlflowException:
            # Two first inserts of an alias at once: the loser finds it there and moves it.
            self.client.set_registered_model_alias(name, alias, str(version))

    def _models(self) -> list[RegisteredModel]:
        models: list[RegisteredModel] = []
        token = None
        with library_errors(self.dsn, "list the registered models"):
            while True:
                page = self.client.search_registered_models(max_results=1000, page_token=token)
                models += [m for m in page if Tag.SYMBOL in m.tags]
                token = page.token
                if not token:
                    return models

    def _find(self, symbol: str) -> RegisteredModel | None:
        with library_errors(self.dsn, f"look up the model of {symbol}"):
            found = self.client.search_registered_models(f"name = '{model_name(symbol)}'")
        return found[0] if found else None

    def _ensure_model(self, symbol: str) -> None:
        if self._find(symbol) is not None:
            return
        try:
            self.client.create_registered_model(
                model_name(symbol),
                tags={Tag.SYMBOL: symbol},
                description=describe_model(None, symbol, [], {}),
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another writer was first
                raise


@contextmanager
def _tracking_at(dsn: str) -> Iterator[None]:
    """A database registry looks a logged model up at MLflow's process-wide tracking URI.

    One thread at a time; afterwards MLflow and the environment, which it writes to, are as before.
    """
    with _ONE_AT_A_TIME:
        before, told = mlflow.get_tracking_uri(), os.environ.get(_TRACKING_URI)
        mlflow.set_tracking_uri(dsn)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)
            if told is not None:
                os.environ[_TRACKING_URI] = told
            if mlflow.get_tracking_uri() != before:
                mlflow.set_tracking_uri(before)


def _stamp(folder: Path, logged_model_id: str, run_id: str) -> str:
    """Write the ids into the MLmodel file and the manifest beside it; return the digest."""
    model = Model.load(str(folder))
    model.model_id = logged_model_id
    model.run_id = run_id
    model.save(str(folder / "MLmodel"))
    return write_manifest(folder)
