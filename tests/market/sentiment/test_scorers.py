"""Scorers: what a text's score is, and when it is unknown."""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brain.coins import coin_of
from brain.errors import InputError
from market.sentiment.coins import coins_in
from market.sentiment.lexicon import LexiconScorer, parse_lexicon
from market.sentiment.opening import check_scorer, open_scorer
from market.sentiment.scorers import plain_text
from market.sentiment.transformer import TransformerScorer


@pytest.fixture(scope="module")
def lexicon() -> LexiconScorer:
    return LexiconScorer()


def test_a_score_is_vaders_sum_over_the_words_of_crypto(lexicon: LexiconScorer) -> None:
    # to the moon 3.0, rekt -2.9, by x / sqrt(x^2 + 15)
    scores = lexicon.scores(["BTC to the moon", "they are rekt", "it goes To  The\nMoon"])
    right = [x / (x * x + 15) ** 0.5 for x in (3.0, -2.9, 3.0)]
    np.testing.assert_allclose(scores, right, atol=5e-5)


def test_where_no_word_is_known_the_score_is_unknown_and_not_zero(lexicon: LexiconScorer) -> None:
    scores = lexicon.scores(
        ["", "  ", "The committee meets on Tuesday", "https://good.example/win"]
    )
    assert np.isnan(scores).all()
    (both,) = lexicon.scores(["good bad bad good, nearly"])
    assert not np.isnan(both)


def test_negation_and_markup_count_and_addresses_and_names_do_not(lexicon: LexiconScorer) -> None:
    good, negated = lexicon.scores(["this is bullish", "this is not bullish"])
    assert negated < 0 < good
    marked, named = lexicon.scores(
        ["<p class='bad'>this is <b>bullish</b></p>", "@bad_crash this is bullish https://scam.xyz"]
    )
    assert marked == named == good
    assert plain_text("<a href='x'>A &amp; B</a> www.x.y @me") == "A & B"


def test_vader_alone_knows_fewer_words() -> None:
    (plain,) = LexiconScorer(crypto=False).scores(["bitcoin rugpull"])
    (crypto,) = LexiconScorer().scores(["bitcoin rugpull"])
    assert np.isnan(plain)
    assert crypto < -0.5


def test_the_lexicon_changes_with_its_version_alone(lexicon: LexiconScorer) -> None:
    """A changed lexicon gives other scores under a known name: raise its version, then this."""
    content = (files("market.sentiment") / "crypto_lexicon.tsv").read_bytes()
    version, _ = parse_lexicon(content.decode())
    digests = {"1": "d125c1abbf36abad"}
    assert hashlib.sha256(content).hexdigest()[:16] == digests[version]
    assert lexicon.version.endswith(f"+crypto-{version}")


@pytest.mark.parametrize(
    "text",
    ["", "moon\t2", "version\t1\nmoon\t5", "version\t1\nmoon", "version\t1\nMoon\t1",
     "version\t1\nmoon\t1\nmoon\t2", "version\t1\nmoon\tnan", "version\t1\n\t1"],
)  # fmt: skip
def test_a_lexicon_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_lexicon(text)


@pytest.mark.parametrize(
    ("text", "coins"),
    [
        ("Bitcoin falls", {"BTC"}),
        ("BTC/USDT and #ETH", {"BTC", "ETH"}),
        ("$btc $Link", {"BTC", "LINK"}),
        ("LINK in bio, NEAR me", set()),
        ("Chainlink", {"LINK"}),
        ("Bitcoin Cash", {"BCH"}),
        ("bitcoin and bitcoin cash", {"BTC", "BCH"}),
        ("bitcoins", {"BTC"}),
        ("Ethereum Classic", {"ETC"}),
        ("ethereal debtors unbtc", set()),
        ("solution", set()),
    ],
)
def test_a_text_is_about_the_coins_that_it_names(text: str, coins: set[str]) -> None:
    known = ["BTC", "BCH", "ETH", "ETC", "LINK", "NEAR", "SOL"]
    assert set(coins_in(text, known)) == coins


def test_a_symbols_coin_is_its_base_without_an_exchanges_thousands() -> None:
    symbols = ["BTC/USDT", "1000SHIB/USDT:USDT", "SHIB1000/USDT:USDT", "1INCH/USDT", "SPY"]
    assert [coin_of(symbol) for symbol in symbols] == ["BTC", "SHIB", "SHIB", "1INCH", "SPY"]


# --- a transformer --------------------------------------------------------------------------------

WORDS = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "bitcoin", "soars", "crashes", "meets"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A classifier of two words: the one makes it bullish, the other bearish."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    target = tmp_path / "model"
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({w: k for k, w in enumerate(WORDS)}, unk_token="[UNK]")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.normalizer = tokenizers.normalizers.Lowercase()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(target)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=128, num_labels=3, pad_token_id=1,
        id2label={0: "Bearish", 1: "neutral", 2: "Bullish"},
        label2id={"Bearish": 0, "neutral": 1, "Bullish": 2},
    )  # fmt: skip
    torch.manual_seed(3)
    transformers.BertForSequenceClassification(config).save_pretrained(target)
    return target


TEXTS = ["bitcoin soars", "", "bitcoin crashes", "soars soars bitcoin meets crashes"] * 20


def test_a_transformer_scores_bullish_less_bearish(folder: Path) -> None:
    import torch
    import transformers

    scorer = TransformerScorer(folder)
    scores = scorer.scores(TEXTS)
    assert np.isnan(scores[1::4]).all()
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder))
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()
    for place in (0, 2, 3):  # one at a time, without padding
        with torch.inference_mode():
            logits = model(**tokenizer(TEXTS[place], return_tensors="pt")).logits[0]
        bearish, _, bullish = torch.softmax(logits.double(), 0).tolist()
        np.testing.assert_allclose(scores[place::4], bullish - bearish, atol=2e-4)
    assert open_scorer(str(folder)).version == scorer.version


def test_a_transformer_of_other_weights_has_another_version(folder: Path) -> None:
    before = TransformerScorer(folder).version
    weights = next(folder.glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert TransformerScorer(folder).version != before


def test_a_transformer_is_never_downloaded_and_never_unpickled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    TransformerScorer(folder)
    for weights in folder.glob("*.safetensors"):
        weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds no classifier"):
        TransformerScorer(folder)
    with pytest.raises(InputError, match="no folder"):
        TransformerScorer(Path("ProsusAI/finbert"))
    with pytest.raises(InputError, match="neither lexicon nor a folder"):
        check_scorer("ProsusAI/finbert")


def test_labels_that_say_nothing_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="labels label_0"):
        TransformerScorer(folder)


def test_the_lexicon_needs_no_network_and_no_transformer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert open_scorer("lexicon").name == "lexicon"
