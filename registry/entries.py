"""What the registry holds, as values: versions, and the champions of cells."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion, RegisteredModel

from registry.champions import CellRecord
from registry.naming import Family, Regime, Tag, cell_tag, champion_alias, model_id, model_name

__all__ = ["Champion", "Version", "champion_of", "version_of"]


@dataclass(frozen=True)
class Version:
    """A registered version of a symbol's model."""

    symbol: str
    number: int
    family: Family
    recipe: str
    digest: str
    trained_until: str
    run_id: str
    logged_model_id: str

    @property
    def id(self) -> str:
        """The model id, ``BTC-USDT/7``."""
        return model_id(model_name(self.symbol), self.number)


@dataclass(frozen=True)
class Champion:
    """The version that a cell trusts, and the cell's record."""

    symbol: str
    regime: Regime
    version: int
    record: CellRecord

    @property
    def model_id(self) -> str:
        """The model id, ``BTC-USDT/7``."""
        return model_id(model_name(self.symbol), self.version)

    @property
    def uri(self) -> str:
        """What ``mlflow.pyfunc.load_model`` takes; follows the alias."""
        return f"models:/{model_name(self.symbol)}@{champion_alias(self.regime)}"


def version_of(symbol: str, found: ModelVersion) -> Version:
    """The version that MLflow found, which the Brain Library has registered."""
    tags = found.tags
    return Version(
        symbol=symbol,
        number=int(found.version),
        family=Family(tags[Tag.FAMILY]),
        recipe=tags[Tag.RECIPE],
        digest=tags[Tag.DIGEST],
        trained_until=tags[Tag.TRAINED_UNTIL],
        run_id=found.run_id or "",
        logged_model_id=(found.source or "").removeprefix("models:/"),  # its own field stays empty
    )


def champion_of(model: RegisteredModel, regime: Regime) -> Champion | None:
    """The champion of a model's cell; None if it has none."""
    version = model.aliases.get(champion_alias(regime))
    tag = model.tags.get(cell_tag(regime))
    if version is None or tag is None:
        return None
    return Champion(model.tags[Tag.SYMBOL], regime, int(version), CellRecord.from_json(tag))
