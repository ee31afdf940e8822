"""Mutated answers and files: the right thing, or an error of ours, and nothing unverified.

Seeds choose the mutations, so a failure's seed is all that is needed to see it again. Those beyond
the suite's that once found something are kept in ``KEPT``.
"""

from __future__ import annotations

import random
import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from brain.artifacts import EXECUTOR
from brain.errors import BrainError, NoChampionError
from brain.manifest import write_manifest
from brain.model_keys import ModelKey
from brain.naming import Regime, champion_alias
from registry.library import BrainLibrary
from serving import Hamilton, Limits, RemoteRegistry
from serving.champions import LoadedVersion
from tests.proxies import FaultProxy
from tests.registry.models import start
from tests.servers import MlflowServer
from tests.serving.conftest import TRAINED
from tests.serving.desk import Models, bars_of, sample
from tests.serving.remote.champions import register
from tests.serving.remote.mutations import mutated_archive, mutated_bytes, mutated_json
from tests.serving.remote.replays import Replay, recorded

KEY = ModelKey("ETH/USD", "1d", 6)
BATCH = 50
LIMIT = 0.2
KEPT = (3033,)


def batches(first: int, last: int) -> list[Any]:
    return [pytest.param(range(n, n + BATCH), id=f"{n}-") for n in range(first, last, BATCH)]


SEEDS = [
    pytest.param(KEPT, id="kept"),
    *batches(0, 500),
    *(pytest.param(*p.values, id=p.id, marks=pytest.mark.soak) for p in batches(500, 10_500)),
]


@dataclass(frozen=True)
class Truth:
    """A recorded registry.

    Attributes:
        bodies: of its answers by target.
        scores: of each version's golden rows by the version's digest.
    """

    bodies: Mapping[str, bytes]
    scores: Mapping[str, tuple[str, ...]]


def scores_of(version: LoadedVersion) -> tuple[str, ...]:
    return tuple(version.predictor.predict(row).hex() for row in version.data.golden_rows)


@pytest.fixture(scope="module")
def truth(
    _mlflow_server: MlflowServer, models: Models, tmp_path_factory: pytest.TempPathFactory
) -> Truth:
    """Champions of all families, one of them pinned, recorded as an executor reads them."""
    _mlflow_server.reset()
    library = BrainLibrary(_mlflow_server.uri)
    with start(library) as run:
        register(library, run, models, tmp_path_factory.mktemp("registered"))
    library.client.set_registered_model_alias(KEY.name, champion_alias(Regime.EXTREME), "3")
    with FaultProxy(_mlflow_server.uri).run() as proxy:
        with closing(RemoteRegistry(proxy.uri)) as remote:
            scores, _ = use(remote)
        targets = [request.removeprefix("GET ") for request in dict.fromkeys(proxy.requests)]
    return Truth(recorded(_mlflow_server.uri, targets), scores)


@pytest.fixture(scope="module")
def replay(truth: Truth) -> Iterator[Replay]:
    with Replay(truth.bodies).run() as replay:
        yield replay


def use(remote: RemoteRegistry) -> tuple[dict[str, tuple[str, ...]], list[Any]]:
    """What an executor does with a registry: it reads, loads and decides.

    Returns:
        The scores of the versions that are in use, by digest, and the decisions.
    """
    entries, _ = remote.page()
    champions = [champion for entry in entries for champion in remote.champions_of(entry)]
    if not champions:
        raise NoChampionError("there is none")
    key = champions[0].key
    with Hamilton(remote, [key], limits=Limits(symbol=LIMIT)) as hamilton:
        versions = []
        for regime in Regime:
            with suppress(NoChampionError):
                versions.append(hamilton.champion(key, regime).version)
        bars = bars_of(sample(), TRAINED, TRAINED + 2)
        decisions = [hamilton.bar(key, *bar[1:], bar.close_time) for bar in bars]
    return {version.digest: scores_of(version) for version in versions}, decisions


def test_unmutated_the_replay_is_the_registry(truth: Truth, replay: Replay) -> None:
    with closing(RemoteRegistry(replay.uri)) as remote:
        scores, decisions = use(remote)
    assert scores == truth.scores
    assert len(truth.scores) == 3
    assert all(decision.version for decision in decisions)


@dataclass(frozen=True)
class Mutation:
    """What a seed changes of the answers to one target: a body, its JSON, or the answer's head."""

    seed: int
    target: str
    kind: str

    @classmethod
    def of(cls, seed: int, targets: Iterable[str]) -> Mutation:
        draw = random.Random(seed)
        kind = draw.choice(["bytes", "json", "json", "head"])
        targets = sorted(targets)
        pages = [target for target in targets if "registered-models" in target]
        return cls(seed, draw.choice(pages if draw.random() < 0.3 else targets), kind)

    def body(self, target: str, content: bytes) -> bytes:
        if target != self.target or self.kind == "head":
            return content
        if self.kind == "json":
            with suppress(ValueError):
                return mutated_json(content, random.Random(self.seed))
        return mutated_bytes(content, random.Random(self.seed))

    def answer(self, target: str, content: bytes) -> bytes:
        if target != self.target or self.kind != "head":
            return content
        end = content.index(b"\r\n\r\n") + 4
        return mutated_bytes(content[:end], random.Random(self.seed)) + content[end:]


def faults(seeds: Iterable[int], check: Callable[[int], None]) -> list[str]:
    """What went wrong, by seed; errors of ours did not."""
    found = []
    for seed in seeds:
        try:
            check(seed)
        except BrainError:
            pass
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            found.append(f"{seed}: {error!r:.200} at {place.filename}:{place.lineno}")
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", SEEDS)
def test_mutated_answers_give_the_right_thing_or_an_error_of_ours(
    truth: Truth, replay: Replay, seeds: Sequence[int]
) -> None:
    def check(seed: int) -> None:
        mutation = Mutation.of(seed, truth.bodies)
        replay.body, replay.answer = mutation.body, mutation.answer
        with closing(RemoteRegistry(replay.uri, timeout=0.5)) as remote:
            scores, decisions = use(remote)
        assert scores.items() <= truth.scores.items()
        assert all(abs(decision.position) <= LIMIT for decision in decisions)

    if found := faults(seeds, check):
        pytest.fail("\n".join(found))


# --- right digests ------------------------------------------------------------------------------


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", SEEDS)
def test_mutated_state_with_right_digests_decides_or_is_an_error_of_ours(
    models: Models, tmp_path: Path, seeds: Sequence[int]
) -> None:
    """What an executor goes on from, registered as it is: the models beside it are untouched."""
    originals = models.champions(KEY)

    def check(seed: int) -> None:
        draw = random.Random(seed)
        spoilt = Models(tmp_path, {KEY: {}}, dict(models.folders))
        chosen = draw.choice(originals).model_id
        folder = tmp_path / str(seed)
        shutil.copytree(models.folders[chosen], folder)
        state = folder / EXECUTOR
        state.write_bytes(mutated_archive(state.read_bytes(), draw))
        digest = write_manifest(folder)
        spoilt.folders[chosen] = folder
        for champion in originals:
            record = champion.record
            if champion.model_id == chosen:
                record = replace(record, digest=digest)
            spoilt.cells[KEY][champion.regime] = replace(champion, record=record)
        with Hamilton(spoilt, [KEY], limits=Limits(symbol=LIMIT)) as hamilton:
            for bar in bars_of(sample(), TRAINED, TRAINED + 3):
                decision = hamilton.bar(KEY, *bar[1:], bar.close_time)
                assert abs(decision.position) <= LIMIT
        shutil.rmtree(folder)

    if found := faults(seeds, check):
        pytest.fail("\n".join(found))
