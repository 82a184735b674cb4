"""The tone of short comments, computed where they are: no text and no tone of a single comment leaves the platform.

One interface, `Sentiment.score`, for two languages. Chinese: a logistic regression over hashed character n-grams, the
same whole numbers at every party: it was fitted once, on public reviews (simulations/world/fits/tone.py fits it again).
English: the word list of VADER (Hutto & Gilbert 2014, package vaderSentiment, MIT licence), with its treatment of
negation; no English corpus with a clear licence ships with a package, so its accuracy is unmeasured. The package is
read as data and never imported. Comments in other scripts have no tone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl

VERSION = 1
FILE = "tone.npz"
BITS = 18
LONGEST = 3
STEPS = 1000
"""Steps of a weight in 1: weights are whole numbers of steps, so no sum depends on its order."""
# Constants of VADER: what a negation makes of a word's valence, and what turns a sum into a score.
NEGATED, NORMALISER = -0.74, 15.0
_THOUSAND = 1000.0
_NOT = ("can", "do", "does", "did", "is", "was", "are", "were", "wo", "would")
NEGATIONS = frozenset(
    {"not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "hardly", "cannot"}
    | {f"{verb.removesuffix('n')}{ending}" for verb in _NOT for ending in ("n't", "nt")}
)
_MIX = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_HAN = ((0x3400, 0x9FFF), (0x20000, 0x323AF))
_OTHER_EAST_ASIAN = ((0x3040, 0x30FF), (0x1100, 0x11FF), (0xAC00, 0xD7AF))


@dataclass(frozen=True)
class Sentiment:
    """Both languages. `weights` int64 [2^BITS + 1] of hashed n-grams, the last for none, and `intercept`, in steps of
    1 / STEPS; `words` the valences.
    """

    weights: np.ndarray = field(repr=False)
    intercept: int
    words: pl.DataFrame = field(repr=False)

    @classmethod
    def shipped(cls) -> Sentiment:
        """The model of this release.

        Raises:
            ValueError: the file is of another version than the code.
        """
        return _shipped()

    def score(self, texts: pl.Series) -> pl.Series:
        """The tone of each text, float64 [n] in [-1, 1]; null where it is neither Chinese nor English."""
        if texts.is_empty():
            return pl.Series("score", [], dtype=pl.Float64)
        plain = normalised(texts)
        language = languages(plain)
        found = np.full(len(plain), np.nan)
        chinese, english = np.flatnonzero(language == 1), np.flatnonzero(language == 2)
        if len(chinese):
            logits = self.logits(plain.gather(chinese))
            found[chinese] = np.tanh(logits / 2)  # twice the probability of a good review, less one
        if len(english):
            found[english] = self._valences(plain.gather(english))
        return pl.Series("score", found).fill_nan(None)

    def logits(self, texts: pl.Series) -> np.ndarray:
        """Log-odds that normalised Chinese texts are good, float64 [n]."""
        buckets, starts, counts = grams(texts)
        sums = np.zeros(len(texts), dtype=np.int64)
        for column in buckets:
            sums += np.add.reduceat(self.weights[column], starts)
        return np.asarray((sums / np.sqrt(np.maximum(counts, 1)) + self.intercept) / STEPS)

    def _valences(self, texts: pl.Series) -> np.ndarray:
        """VADER's compound score of its word list, negated where one of the three words before is a negation."""
        words = (
            pl.DataFrame({"at": np.arange(len(texts), dtype=np.uint32), "word": texts.str.extract_all(r"[a-z']+")})
            .explode("word")
            .join(self.words, on="word", how="left", maintain_order="left")
        )
        before = [
            pl.col("negation").shift(n).fill_null(False) & (pl.col("at").shift(n) == pl.col("at")) for n in (1, 2, 3)
        ]
        negated = pl.any_horizontal(before)
        # Whole numbers, as the list has one digit after the point: a sum of floats would follow the rows beside it.
        valence = pl.col("valence") * pl.when(negated).then(NEGATED).otherwise(1.0)
        sums = (
            words.with_columns((valence * _THOUSAND).round().cast(pl.Int64)).group_by("at").agg(pl.col("valence").sum())
        )
        total = np.zeros(len(texts))
        total[sums["at"].to_numpy()] = sums["valence"].to_numpy() / _THOUSAND
        return np.asarray(total / np.sqrt(total**2 + NORMALISER))


@cache
def _shipped() -> Sentiment:
    with (
        files("sealscore.clients.features").joinpath(FILE).open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        version, weights, intercept = int(stored["version"]), stored["weights"], int(stored["intercept"])
    if version != VERSION:
        raise ValueError(f"{FILE} is of version {version}, the code of {VERSION}; install one release")
    return Sentiment(np.append(weights.astype(np.int64), 0), intercept, _vader())


def digest() -> str:
    """SHA-256 of the shipped file, 64 hexadecimal digits."""
    return hashlib.sha256(files("sealscore.clients.features").joinpath(FILE).read_bytes()).hexdigest()


def constants() -> dict[str, object]:
    """What the tone of a text follows from: plain values, for a digest."""
    return {
        "chinese": digest(),
        "english": hashlib.sha256(_lexicon().read_bytes()).hexdigest(),
        "negated": NEGATED,
        "normaliser": NORMALISER,
        "negations": sorted(NEGATIONS),
        "mix": [int(odd) for odd in _MIX],
    }


def normalised(texts: pl.Series) -> pl.Series:
    """Texts in compatibility form and lower case, without blanks around; "" where there is none.

    A NUL, which no comment has, would end a text early below and becomes a blank.
    """
    return (
        texts.cast(pl.String)
        .fill_null("")
        .str.normalize("NFKC")
        .str.to_lowercase()
        .str.replace_all("\0", " ", literal=True)
        .str.replace_all("\u2019", "'", literal=True)
        .str.strip_chars()
    )


def languages(texts: pl.Series) -> np.ndarray:
    """1 where a text is Chinese, 2 where it is English, 0 where it is neither: int8 [n].

    By script: Han characters and neither kana nor hangul; or Latin letters, without Han, as most of all letters.
    """
    points, starts = _points(texts)
    han = np.add.reduceat(_within(points, _HAN), starts)
    latin = np.add.reduceat(((points >= 97) & (points <= 122)).astype(np.int32), starts)
    other = np.add.reduceat(_within(points, _OTHER_EAST_ASIAN), starts)
    # Letters above Latin-1 that are not Han: Cyrillic, Arabic, Thai and the rest, up to the general punctuation.
    foreign = np.add.reduceat(((points >= 0x100) & (points < 0x2000)).astype(np.int32), starts)
    chinese = (han > 0) & (other == 0) & (foreign <= han)
    english = (han == 0) & (other == 0) & (latin >= 2) & (foreign * 2 < latin)
    return np.where(chinese, 1, np.where(english, 2, 0)).astype(np.int8)


def grams(texts: pl.Series) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """Hashed n-grams of n = 1, 2, 3 characters, where texts start, and how many n-grams each has.

    The buckets are int64 [characters], one array for each n, for the n-gram that starts at each character; 2^BITS
    where it would reach over the end of its text. `starts` and the counts are int64 [n].
    """
    points, starts = _points(texts)
    padded = np.concatenate([points.astype(np.uint64), np.zeros(LONGEST, dtype=np.uint64)])
    hashed = np.zeros(len(points), dtype=np.uint64)
    inside = np.ones(len(points), dtype=bool)
    counts = np.zeros(len(starts), dtype=np.int64)
    buckets = []
    for n, odd in enumerate(_MIX):
        following = padded[n : n + len(points)]
        inside &= following != 0
        hashed = (hashed ^ (following + np.uint64(1))) * odd
        hashed ^= hashed >> np.uint64(29)
        buckets.append(np.where(inside, (hashed >> np.uint64(64 - BITS)).astype(np.int64), 2**BITS))
        counts += np.add.reduceat(inside.astype(np.int64), starts)
    return tuple(buckets), starts, counts


def _points(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Code points of all texts, each ended by a 0, uint32 [characters]; and where each starts, int64 [n]."""
    joined = "\0".join(texts.to_list()) + "\0"
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    ends = np.flatnonzero(points == 0)
    return points, np.concatenate([[0], ends[:-1] + 1])


def _within(points: np.ndarray, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
    found = np.zeros(len(points), dtype=np.int32)
    for low, high in ranges:
        found += (points >= low) & (points <= high)
    return found


def _vader() -> pl.DataFrame:
    """word, valence, negation: VADER's list of words written in Latin letters, and the negations."""
    valences = {}
    for line in _lexicon().read_text(encoding="utf-8").splitlines():
        word, mean, *_ = line.split("\t")
        if word.replace("'", "").isalpha() and word.isascii():
            valences[word.lower()] = float(mean)
    words = sorted(valences.keys() | NEGATIONS)
    return pl.DataFrame(
        {
            "word": words,
            "valence": [valences.get(word, 0.0) for word in words],
            "negation": [word in NEGATIONS for word in words],
        }
    )


def _lexicon() -> Path:
    return Path(str(distribution("vaderSentiment").locate_file("vaderSentiment/vader_lexicon.txt")))
