"""Registered models: one for each model key, with the aliases and records of all its cells.

A new one is named by its key, ``BTC-USDT.1h.6``. One that was registered before names told more
than the symbol keeps its plain name, ``BTC-USDT``, see :mod:`registry.plain_names`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from brain.brief import Brief
from brain.errors import InputError
from brain.model_keys import ModelKey, ModelQuery
from brain.naming import (
    Family,
    Regime,
    Tag,
    challenger_alias,
    champion_alias,
    recipe_tag,
)
from registry.descriptions import describe_model
from registry.mlflow_errors import library_errors
from registry.paging import all_pages
from registry.plain_names import plain_key

__all__ = ["SymbolModel", "choose_model", "ensure_model", "find_models"]


@dataclass(frozen=True, repr=False)
class SymbolModel(Brief):
    """A registered model of a symbol, as one request brings it.

    Attributes:
        name: of the registered model, ``BTC-USDT.1h.6``.
        key: what it is of.
        description: what the UI shows with it.
        aliases: version numbers by alias.
        tags: among them each cell's record and each family's recipe.
    """

    name: str
    key: ModelKey
    description: str
    aliases: Mapping[str, int]
    tags: Mapping[str, str]

    @property
    def symbol(self) -> str:
        """The key's symbol."""
        return self.key.symbol

    def champion(self, regime: Regime) -> int | None:
        """The version that the cell's champion alias is at; None if there is no such alias."""
        return self.aliases.get(champion_alias(regime))

    def challenger(self, regime: Regime) -> int | None:
        """The version that the cell's challenger alias is at; None if there is no such alias."""
        return self.aliases.get(challenger_alias(regime))

    def recipe(self, family: Family) -> str | None:
        """The family's current recipe, as JSON; None if none is stored."""
        return self.tags.get(recipe_tag(family))


def find_models(client: MlflowClient, symbol: str | None = None) -> list[SymbolModel]:
    """The models of a symbol, of all symbols if None, from one search; sorted by their keys.

    Left out are other programs' models, which have no tag ``symbol``, and plain names whose
    versions are of several timeframes or horizons, of which the log tells.
    """
    filter_string = None if symbol is None else f"tags.{Tag.SYMBOL} = '{symbol}'"
    with library_errors(client.tracking_uri, f"look up the models of {symbol or 'all symbols'}"):
        entries = all_pages(
            lambda token: client.search_registered_models(
                filter_string, max_results=1000, page_token=token
            )
        )
        models = [model for entry in entries if (model := _symbol_model(client, entry))]
    # Where a key has both, its own name counts: the plain one was of several keys when it was made.
    by_key = {m.key: m for m in sorted(models, key=lambda model: model.name == model.key.name)}
    return [by_key[key] for key in sorted(by_key)]


def choose_model(models: Iterable[SymbolModel], query: ModelQuery) -> SymbolModel | None:
    """The one model that fits; None if none does.

    Raises:
        AmbiguousModelError: several fit.
    """
    by_key = {model.key: model for model in models}
    key = query.choose({key: model.name for key, model in by_key.items()})
    return None if key is None else by_key[key]


def ensure_model(client: MlflowClient, key: ModelKey) -> str:
    """The name of the key's model, which is registered if there is none."""
    model = choose_model(find_models(client, key.symbol), ModelQuery.parse(key))
    with library_errors(client.tracking_uri, f"make the model of {key}"):
        if model is not None:
            if Tag.HORIZON not in model.tags:
                _tag(client, model.name, key)
            return model.name
        try:
            client.create_registered_model(
                key.name, tags=key.tags, description=describe_model("", key, [], {})
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # Another writer was first, or a program without our tags made one of that name.
            _tag(client, key.name, key)
    return key.name


def _tag(client: MlflowClient, name: str, key: ModelKey) -> None:
    for tag, value in key.tags.items():
        client.set_registered_model_tag(name, tag, value)


def _symbol_model(client: MlflowClient, entry: RegisteredModel) -> SymbolModel | None:
    """The model of an entry in MLflow's registry; None if it is foreign or of no one key."""
    tags = dict(entry.tags)
    if Tag.SYMBOL not in tags:
        return None
    aliases = {alias: int(number) for alias, number in entry.aliases.items()}
    try:
        key: ModelKey | None = ModelKey.of_name(entry.name)
    except InputError:
        key = plain_key(client, entry.name, aliases, tags)
    if key is None:
        return None
    return SymbolModel(entry.name, key, entry.description or "", aliases, tags)
