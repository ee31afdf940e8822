"""What the registry holds, as values: versions, and the champions of cells."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion

from registry.champions import CellRecord
from registry.errors import LibraryError
from registry.naming import Family, Regime, Tag, champion_alias, model_id, model_name

__all__ = ["Champion", "Version", "version_of"]


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
    """The version that a cell trusts, and why.

    Attributes:
        record: of this very version.
        recorded: whether it is the cell's own record. If not, somebody moved the alias by hand, or
            a promotion is under way: the record was then put together from the version's tags and
            its run's figures, and its ``regimes`` are those of the record that the cell had.
    """

    symbol: str
    regime: Regime
    version: int
    record: CellRecord
    recorded: bool = True

    @property
    def model_id(self) -> str:
        """The model id, ``BTC-USDT/7``."""
        return model_id(model_name(self.symbol), self.version)

    @property
    def uri(self) -> str:
        """What ``mlflow.pyfunc.load_model`` takes; follows the alias."""
        return f"models:/{model_name(self.symbol)}@{champion_alias(self.regime)}"


def version_of(symbol: str, found: ModelVersion) -> Version:
    """The version that MLflow found.

    Raises:
        LibraryError: the Brain Library has not registered it, so its tags don't tell.
    """
    tags = found.tags
    try:
        return Version(
            symbol=symbol,
            number=int(found.version),
            family=Family(tags[Tag.FAMILY]),
            recipe=tags[Tag.RECIPE],
            digest=tags[Tag.DIGEST],
            trained_until=tags[Tag.TRAINED_UNTIL],
            run_id=found.run_id or "",
            # Its own field for this stays empty.
            logged_model_id=(found.source or "").removeprefix("models:/"),
        )
    except (KeyError, ValueError) as error:
        raise LibraryError(
            f"version {found.version} of {found.name} was not registered by the Brain Library (tag "
            f"{error.args[0]}); use another one, and move aliases such as champion-high off it"
        ) from error
