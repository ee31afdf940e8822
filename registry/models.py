"""Registered models: one for each symbol, with the aliases and records of all its cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from brain.brief import Brief
from brain.naming import (
    Family,
    Regime,
    Tag,
    challenger_alias,
    champion_alias,
    model_name,
    recipe_tag,
    symbol_of,
)
from registry.descriptions import describe_model
from registry.mlflow_errors import library_errors
from registry.paging import all_pages

__all__ = ["SymbolModel", "ensure_model", "find_model", "symbol_models"]


@dataclass(frozen=True, repr=False)
class SymbolModel(Brief):
    """A symbol's registered model, as one request brings it.

    Attributes:
        name: of the registered model, ``BTC-USDT``.
        description: what the UI shows with it.
        aliases: version numbers by alias.
        tags: among them each cell's record and each family's recipe.
    """

    name: str
    description: str
    aliases: Mapping[str, int]
    tags: Mapping[str, str]

    @property
    def is_foreign(self) -> bool:
        """Whether another program has registered it: it has no tag ``symbol``."""
        return Tag.SYMBOL not in self.tags

    @property
    def symbol(self) -> str:
        """The symbol, ``BTC/USDT``.

        Raises:
            InputError: the model is foreign, and no symbol has its name.
        """
        return self.tags.get(Tag.SYMBOL) or symbol_of(self.name)

    def champion(self, regime: Regime) -> int | None:
        """The version that the cell's champion alias is at; None if there is no such alias."""
        return self.aliases.get(champion_alias(regime))

    def challenger(self, regime: Regime) -> int | None:
        """The version that the cell's challenger alias is at; None if there is no such alias."""
        return self.aliases.get(challenger_alias(regime))

    def recipe(self, family: Family) -> str | None:
        """The family's current recipe, as JSON; None if none is stored."""
        return self.tags.get(recipe_tag(family))


def find_model(client: MlflowClient, symbol: str) -> SymbolModel | None:
    """The symbol's registered model; None if there is none."""
    with library_errors(client.tracking_uri, f"look up the model of {symbol}"):
        try:
            return _symbol_model(client.get_registered_model(model_name(symbol)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None


def ensure_model(client: MlflowClient, symbol: str) -> None:
    """Register the symbol's model if there is none."""
    if find_model(client, symbol) is not None:
        return
    with library_errors(client.tracking_uri, f"make the model of {symbol}"):
        try:
            client.create_registered_model(
                model_name(symbol),
                tags={Tag.SYMBOL: symbol},
                description=describe_model("", symbol, [], {}),
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another writer was first
                raise


def symbol_models(client: MlflowClient) -> list[SymbolModel]:
    """All registered models but foreign ones."""
    with library_errors(client.tracking_uri, "list the registered models"):
        models = all_pages(
            lambda token: client.search_registered_models(max_results=1000, page_token=token)
        )
    return [model for model in map(_symbol_model, models) if not model.is_foreign]


def _symbol_model(model: RegisteredModel) -> SymbolModel:
    aliases = {alias: int(number) for alias, number in model.aliases.items()}
    return SymbolModel(model.name, model.description or "", aliases, dict(model.tags))
