"""The tone of comments: both languages, other scripts, and what the model was trained on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sealscore.clients.features import sentiment as module
from sealscore.clients.features.sentiment import Sentiment, grams, languages
from sealscore.simulations.world.fits.tone import fit_reviews, held_out_accuracy, held_out_reviews, training_reviews


def test_plain_cases(sentiment: Sentiment):
    texts = [
        "质量太差了 非常失望",
        "非常好用 很喜欢",
        "great, I love it",
        "terrible, it is broken",
        "not good",
        "a lamp",
    ]
    bad, good, great, terrible, negated, neutral = sentiment.score(pl.Series(texts)).to_list()
    assert bad < -0.3 < 0.3 < good
    assert terrible < -0.3 < 0.3 < great
    assert negated < 0
    assert neutral == 0


def test_negation_does_not_cross_texts(sentiment: Sentiment):
    assert sentiment.score(pl.Series(["not", "good"])).to_list()[1] > 0


@pytest.mark.parametrize(
    "text", [None, "", "  ", "спасибо большое", "これは良いです", "정말 좋아요", "\U0001f44d\U0001f44d", "12345", "\0"]
)
def test_what_is_neither_has_no_tone(sentiment: Sentiment, text):
    assert sentiment.score(pl.Series([text], dtype=pl.String)).to_list() == [None]


def test_no_text_at_all(sentiment: Sentiment):
    assert sentiment.score(pl.Series([], dtype=pl.String)).to_list() == []


def test_a_text_scores_alone_as_among_others(sentiment: Sentiment):
    texts = pl.Series(["很好", "差评\0退款", "love it", "x", "这个 app 不错", None, "bad bad bad"])
    together = sentiment.score(texts).to_list()
    alone = [sentiment.score(texts.slice(at, 1)).to_list()[0] for at in range(len(texts))]
    assert together == alone


def test_languages():
    texts = pl.Series(["你好", "hello there", "привет", "ok 好", "カナ 漢字", "é", "hello привет мир"])
    assert languages(texts).tolist() == [1, 2, 0, 1, 0, 0, 0]


def test_grams_count_each_start_once():
    buckets, starts, counts = grams(pl.Series(["ab", "", "abc"]))
    assert starts.tolist() == [0, 3, 4]
    assert counts.tolist() == [3, 0, 6]
    first = [column[0] for column in buckets]
    assert first[:2] == [column[4] for column in buckets][:2]
    assert first[2] == 2**module.BITS
    assert buckets[2][4] < 2**module.BITS


def test_held_out_reviews_are_held_out(sentiment: Sentiment):
    seen, unseen = training_reviews()[0], held_out_reviews()[0]
    assert not set(seen) & set(unseen)
    assert 0.08 < len(unseen) / (len(seen) + len(unseen)) < 0.12
    found = held_out_accuracy(sentiment)
    assert found["chinese_accuracy"] > 0.83
    assert found["english_accuracy"] == "unmeasured"


def test_the_shipped_file_is_fitted_again_from_public_reviews(sentiment: Sentiment):
    """Within one step: another machine's solver may end a little beside this one's."""
    weights, intercept = fit_reviews(*training_reviews())
    assert np.abs(weights * module.STEPS - sentiment.weights[:-1]).max() < 1.5
    assert abs(intercept * module.STEPS - sentiment.intercept) < 1.5


def test_a_file_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    with pytest.raises(ValueError, match="install one release"):
        module._shipped.__wrapped__()


def test_another_word_list_is_another_dictionary(tmp_path, monkeypatch: pytest.MonkeyPatch):
    before = module.constants()
    other = tmp_path / "lexicon.txt"
    other.write_bytes(module._lexicon().read_bytes() + b"x\t1.0\n")
    monkeypatch.setattr(module, "_lexicon", lambda: other)
    assert module.constants() != before
