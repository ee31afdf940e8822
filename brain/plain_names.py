"""Models under plain names: registered before names told more than the symbol, ``BTC-USDT``.

They keep their names, so that no program is left behind that loads by their aliases. What they are
of is told by their tags ``timeframe`` and ``horizon``; the first night that goes on under a plain
name writes these. Until then it is told by the versions that the champions' aliases are at. Where
these are of several timeframes or horizons, the model is of no one key: nothing is written to it
any more, and a night gets the name of its key.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from brain.errors import InputError
from brain.model_keys import ModelKey
from brain.naming import Family, Regime, Tag, cell_tag, champion_alias, recipe_tag
from brain.recipes import Recipe
from brain.registry_entries import RegistryReader, VersionEntry

__all__ = ["plain_key", "version_key"]

logger = logging.getLogger(__name__)


def plain_key(
    reader: RegistryReader, name: str, aliases: Mapping[str, int], tags: Mapping[str, str]
) -> ModelKey | None:
    """What a model under a plain name is of.

    Champions whose records and recipes are current need no further request.

    Args:
        reader: of the registry.
        name: of the registered model.
        aliases, tags: of it; one is ``symbol``.

    Returns:
        The key; None if it is unknown, or there are several.
    """
    if tags.get(Tag.TIMEFRAME) and tags.get(Tag.HORIZON):
        return _key(tags, tags.get(Tag.HORIZON))
    recipes = _recipe_keys(tags)
    cells = {r: n for r in Regime if (n := aliases.get(champion_alias(r))) is not None}
    known = {
        number: recipes[recipe]
        for regime, number in cells.items()
        if (recipe := _recorded_recipe(tags, regime, number)) in recipes
    }
    keys = {known.get(n) or _key_of_version(reader, name, n) for n in set(cells.values())}
    if not keys:
        keys = set(recipes.values()) or {_newest_key(reader, name)}
    if len(keys) == 1:
        return keys.pop()
    logger.warning(
        "left out the model %s, whose champions are of %s: name new ones by a night of each; "
        "each gets a name of its own, as %s.1h.6",
        name, " and ".join(sorted(str(key or "an unknown horizon") for key in keys)), name,
    )  # fmt: skip
    return None


def version_key(reader: RegistryReader, entry: VersionEntry) -> ModelKey | None:
    """What a version under a plain name is of; None if it is unknown.

    Those from before versions had a tag ``horizon`` have it as a parameter of their runs.
    """
    horizon = entry.tags.get(Tag.HORIZON)
    if horizon is None and entry.run_id:
        run = reader.run(entry.run_id)
        horizon = run.params.get("horizon") if run else None
    return _key(entry.tags, horizon)


def _key(tags: Mapping[str, str], horizon: str | None) -> ModelKey | None:
    try:
        return ModelKey(tags[Tag.SYMBOL], tags[Tag.TIMEFRAME], int(horizon or ""))
    except (KeyError, ValueError):  # InputError is a ValueError
        return None


def _key_of_version(reader: RegistryReader, name: str, number: int) -> ModelKey | None:
    return version_key(reader, reader.version(name, number))


def _newest_key(reader: RegistryReader, name: str) -> ModelKey | None:
    entry = reader.newest(name)
    return version_key(reader, entry) if entry else None


def _recipe_keys(tags: Mapping[str, str]) -> dict[str, ModelKey]:
    """The keys of the families' current recipes, by the recipes' ids."""
    keys: dict[str, ModelKey] = {}
    for family in Family:
        try:
            recipe = Recipe.from_json(tags[recipe_tag(family)])
        except (KeyError, InputError):
            continue
        key = _key({**tags, Tag.TIMEFRAME: recipe.timeframe}, str(recipe.horizon))
        if key is not None:
            keys[recipe.id] = key
    return keys


def _recorded_recipe(tags: Mapping[str, str], regime: Regime, number: int) -> str | None:
    """The recipe of a champion by its cell's record; None if this is of another version."""
    try:
        record = json.loads(tags[cell_tag(regime)])
        return str(record["recipe"]) if record["version"] == number else None
    except (KeyError, TypeError, ValueError):
        return None
