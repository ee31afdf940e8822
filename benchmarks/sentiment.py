"""Scorers of posts on labelled text that their makers and ours did not write for them.

The text is that of Hutto & Gilbert (2014), in VADER's source distribution, each line with the mean
of some twenty people's ratings from -4 to 4. VADER's rules were made by looking at tweets of the
same drawing, so its figures on the tweets are in-sample; those on editorials, product reviews and
film reviews are out of sample. The words of crypto were written without looking at any of it, so
all four are out of sample for them.
"""

from __future__ import annotations

import math
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import Benchmark, Metric, Report, Target
from brain.errors import InputError
from market.sentiment.lexicon import LexiconScorer
from market.sentiment.scorers import Scorer
from market.sentiment.transformer import TransformerScorer

__all__ = ["BENCHMARK", "LabelledText", "Quality", "quality", "read_phrases", "read_texts"]

_CURE = (
    "get it by `pip download --no-deps --no-binary :all: vaderSentiment==3.3.2`, and give the file"
)
_INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
_SETS = {
    "tweets": "tweets_GroundTruth.txt",
    "editorials": "nytEditorialSnippets_GroundTruth.txt",
    "product reviews": "amazonReviewSnippets_GroundTruth.txt",
    "film reviews": "movieReviewSnippets_GroundTruth.txt",
}
_IN_SAMPLE = "tweets"
# Of people's mean rating, and of a score: VADER's own. What is nearer to 0 is neutral.
_RATED, _SCORED = 0.5, 0.05
_LABELS = {"positive": 1, "neutral": 0, "negative": -1}


@dataclass(frozen=True)
class LabelledText:
    """Texts with people's labels.

    Attributes:
        name: of the set.
        texts: (N,).
        labels: (N,) 1 positive, 0 neutral, -1 negative.
        in_sample: whether VADER's rules were made on such texts.
    """

    name: str
    texts: Sequence[str]
    labels: NDArray[np.int8]
    in_sample: bool = False


@dataclass(frozen=True)
class Quality:
    """A scorer on a set, of one side; each share with its standard error.

    Attributes:
        precision, recall: of the texts that it calls so, and of those that people do.
        precision_error, recall_error: of these.
        called, labelled: how many texts.
    """

    precision: float
    recall: float
    precision_error: float
    recall_error: float
    called: int
    labelled: int


def read_texts(source: Path) -> list[LabelledText]:
    """The four sets of VADER's source distribution.

    Raises:
        InputError: the file is none such.
    """
    try:
        with tarfile.open(source) as archive:
            inner = next(m for m in archive.getmembers() if m.name.endswith(_INNER))
            content = archive.extractfile(inner)
            assert content is not None
            with tarfile.open(fileobj=BytesIO(content.read())) as texts:
                return [
                    _set(name, texts, f"hutto_ICWSM_2014/{file}") for name, file in _SETS.items()
                ]
    except (OSError, tarfile.TarError, StopIteration, KeyError, ValueError) as error:
        raise InputError(f"{source} is no source distribution of VADER; {_CURE}") from error


def _set(name: str, archive: tarfile.TarFile, member: str) -> LabelledText:
    content = archive.extractfile(archive.getmember(member))
    assert content is not None
    rows = [line.split("\t", 2) for line in content.read().decode(errors="replace").splitlines()]
    ratings = np.array([float(row[1]) for row in rows])
    labels = (ratings >= _RATED).astype(np.int8) - (ratings <= -_RATED).astype(np.int8)
    return LabelledText(name, [row[2] for row in rows], labels, name == _IN_SAMPLE)


def read_phrases(source: Path) -> LabelledText:
    """The Financial PhraseBank (Malo et al. 2014): lines of a sentence, ``@`` and its label.

    Raises:
        InputError: the file is none such.
    """
    try:
        lines = source.read_text(encoding="latin-1").splitlines()
        rows = [line.rpartition("@") for line in lines if line.strip()]
        labels = np.array([_LABELS[label.strip()] for _, _, label in rows], dtype=np.int8)
    except (OSError, KeyError) as error:
        raise InputError(
            f"{source} is no file of the Financial PhraseBank; give its Sentences_AllAgree.txt"
        ) from error
    return LabelledText("financial news", [text for text, _, _ in rows], labels)


def quality(scores: NDArray[np.float64], labels: NDArray[np.int8], side: int) -> Quality:
    """Precision and recall of one side.

    Args:
        scores: (N,) of a scorer; NaN, where it can't tell, is neither side's.
        labels: (N,) people's.
        side: 1 positive, -1 negative.
    """
    called = scores * side >= _SCORED
    labelled = labels == side
    hits, calls, labels_of_side = (int(m.sum()) for m in (called & labelled, called, labelled))
    return Quality(
        precision=hits / calls if calls else math.nan,
        recall=hits / labels_of_side if labels_of_side else math.nan,
        precision_error=_error(hits, calls),
        recall_error=_error(hits, labels_of_side),
        called=calls,
        labelled=labels_of_side,
    )


def _error(hits: int, count: int) -> float:
    """The standard error of a share."""
    return math.sqrt(hits * (count - hits) / count**3) if count else math.nan


def _timed(score: Callable[[], NDArray[np.float64]]) -> tuple[NDArray[np.float64], float]:
    start = time.perf_counter()
    scores = score()
    return scores, time.perf_counter() - start


def measure(
    runs: int, texts: Path | None, phrases: Path | None, transformer: Path | None
) -> Report:
    """Precision and recall by set and side, and texts a second.

    Raises:
        InputError: a file or folder is none such.
    """
    if texts is None:
        raise InputError(f"--texts is missing: VADER's source distribution; {_CURE}")
    sets = read_texts(texts) + ([] if phrases is None else [read_phrases(phrases)])
    ours, theirs = LexiconScorer(), LexiconScorer(crypto=False)
    metrics: list[Metric] = []
    records: list[dict[str, object]] = []
    for labelled in sets:
        of_set = _scores_of(labelled, [ours, theirs], runs)
        metrics += _metrics(labelled, *of_set)
        records += [
            *_records(labelled, ours, of_set[0][0]),
            *_records(labelled, theirs, of_set[1][0]),
        ]
    if transformer is not None:
        scorer = TransformerScorer(transformer)
        for labelled in sets:
            scores, seconds = _timed(lambda labelled=labelled: scorer.scores(labelled.texts))  # type: ignore[misc]
            rate = len(labelled.texts) / seconds
            records += [{**r, "texts_per_second": rate} for r in _records(labelled, scorer, scores)]
    return Report(
        metrics,
        runs,
        ours=f"lexicon {ours.version}",
        theirs=f"VADER alone, {theirs.version}",
        notes=_notes(sets),
        records=records,
    )


_Timed = tuple[NDArray[np.float64], list[float]]


def _scores_of(labelled: LabelledText, scorers: Sequence[Scorer], runs: int) -> list[_Timed]:
    """Each scorer's scores, and its seconds by run; the scorers take turns."""
    seconds: list[list[float]] = [[] for _ in scorers]
    scores = [np.empty(0)] * len(scorers)
    for _ in range(runs):
        for place, scorer in enumerate(scorers):
            scores[place], took = _timed(lambda s=scorer: s.scores(labelled.texts))  # type: ignore[misc]
            seconds[place].append(took)
    return list(zip(scores, seconds, strict=True))


def _metrics(labelled: LabelledText, ours: _Timed, theirs: _Timed) -> Iterator[Metric]:
    sample = "in-sample" if labelled.in_sample else "out of sample"
    for side, name in ((1, "positive"), (-1, "negative")):
        both = [quality(scores, labelled.labels, side) for scores, _ in (ours, theirs)]
        for field in ("precision", "recall"):
            yield Metric(
                f"{labelled.name} ({sample} for VADER), {name}: {field}",
                "%",
                [100 * getattr(both[0], field)],
                [100 * getattr(both[1], field)],
                better="higher",
                # Words of crypto must not spoil other text.
                target=Target(0.97),
            )
    yield Metric(
        f"{labelled.name}: texts a second",
        "",
        [len(labelled.texts) / s for s in ours[1]],
        [len(labelled.texts) / s for s in theirs[1]],
        better="higher",
        target=Target(0.5),
    )


def _records(
    labelled: LabelledText, scorer: Scorer, scores: NDArray[np.float64]
) -> Iterator[dict[str, object]]:
    for side, name in ((1, "positive"), (-1, "negative")):
        yield {
            "scorer": scorer.name,
            "version": scorer.version,
            "set": labelled.name,
            "in_sample_for_vader": labelled.in_sample,
            "texts": len(labelled.texts),
            "unknown": round(float(np.isnan(scores).mean()), 4),
            "side": name,
            **{k: round(v, 4) for k, v in vars(quality(scores, labelled.labels, side)).items()},
        }


def _notes(sets: Sequence[LabelledText]) -> list[str]:
    sizes = ", ".join(f"{len(one.texts):,} {one.name}" for one in sets)
    return [
        f"Texts: {sizes}. People's mean rating of {_RATED} and more (of 4) is positive, of "
        f"{-_RATED} and less negative; a score of {_SCORED} and more, and of {-_SCORED} and less.",
        "Out of sample for the words of crypto are all of them; none is about crypto.",
    ]


BENCHMARK = Benchmark(
    measure=measure,
    runs=3,
    options=(
        click.Option(
            ["--texts"],
            type=click.Path(dir_okay=False, path_type=Path),
            help="VADER's source distribution, vaderSentiment-3.3.2.tar.gz",
        ),
        click.Option(
            ["--phrases"],
            type=click.Path(dir_okay=False, path_type=Path),
            help="a file of the Financial PhraseBank, too",
        ),
        click.Option(
            ["--transformer"],
            type=click.Path(file_okay=False, path_type=Path),
            help="the folder of a transformer, too",
        ),
    ),
    versions=("vaderSentiment", "transformers"),
)
