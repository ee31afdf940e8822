"""Registered models of symbols, as one request brings them. The standard library alone.

A new one is named by its key, ``BTC-USDT.1h.6``. One that was registered before names told more
than the symbol keeps its plain name, ``BTC-USDT``, see :mod:`brain.plain_names`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from brain.brief import Brief
from brain.errors import InputError
from brain.model_keys import ModelKey, ModelQuery
from brain.naming import Family, Regime, Tag, challenger_alias, champion_alias, recipe_tag
from brain.plain_names import plain_key
from brain.registry_entries import RegistryReader

__all__ = ["SymbolModel", "choose_model", "key_of_model", "one_of_each_key"]


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


def key_of_model(
    reader: RegistryReader, name: str, aliases: Mapping[str, int], tags: Mapping[str, str]
) -> ModelKey | None:
    """What a registered model is of; None if it is another program's, or of no one key.

    Args:
        reader: of the registry; asked where neither name nor tags tell.
        name, aliases, tags: of the registered model.
    """
    if Tag.SYMBOL not in tags:
        return None
    try:
        return ModelKey.of_name(name)
    except InputError:
        return plain_key(reader, name, aliases, tags)


def one_of_each_key(models: Iterable[SymbolModel]) -> list[SymbolModel]:
    """The models without those whose key another one is named by, sorted by their keys.

    Where a key has both, its own name counts: the plain one was of several keys when it was made.
    """
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
