"""Registered models: one for each model key, with the aliases and records of all its cells.

A new one is named by its key, ``BTC-USDT.1h.6``. One that was registered before names told more
than the symbol keeps its plain name, ``BTC-USDT``, see :mod:`brain.plain_names`.
"""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from brain.model_keys import ModelKey, ModelQuery
from brain.naming import Tag
from brain.symbol_models import SymbolModel, choose_model, key_of_model, one_of_each_key
from registry.descriptions import describe_model
from registry.mlflow_errors import library_errors
from registry.paging import all_pages
from registry.reader import MlflowReader

__all__ = ["ensure_model", "find_models"]


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
    reader = MlflowReader(client)
    models = (model for entry in entries if (model := _symbol_model(reader, entry)))
    return one_of_each_key(models)


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


def _symbol_model(reader: MlflowReader, entry: RegisteredModel) -> SymbolModel | None:
    """The model of an entry in MLflow's registry; None if it is foreign or of no one key."""
    tags = dict(entry.tags)
    aliases = {alias: int(number) for alias, number in entry.aliases.items()}
    key = key_of_model(reader, entry.name, aliases, tags)
    if key is None:
        return None
    return SymbolModel(entry.name, key, entry.description or "", aliases, tags)
