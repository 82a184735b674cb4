"""The tone of comments: both languages, other scripts, the cache, and what the model was trained on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sealscore.clients.features import model_cache
from sealscore.clients.features import sentiment as module
from sealscore.clients.features.sentiment import (
    Sentiment,
    grams,
    held_out_accuracy,
    held_out_reviews,
    languages,
    training_reviews,
)


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
    assert together == pytest.approx(alone)


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


def test_the_model_is_cached_and_refit_for_another_version(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fits = []
    weights = np.zeros(2**module.BITS + 1)
    monkeypatch.setattr(module, "training_reviews", lambda: (pl.Series(["x"]), np.array([True])))
    monkeypatch.setattr(module, "fit", lambda *_: fits.append(1) or (weights, 0.5))
    assert Sentiment.local().intercept == Sentiment.local().intercept == 0.5
    assert len(fits) == 1
    monkeypatch.setattr(module, "_version", lambda: "another")
    Sentiment.local()
    assert len(fits) == 2
    model_cache.path("sentiment").write_bytes(b"spoilt")
    Sentiment.local()
    assert len(fits) == 3
