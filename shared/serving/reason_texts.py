"""What an applicant is told of a feature that lowered the score: a code, and one sentence in English and in Chinese.

A code is `NAME.high`, `NAME.low`, `NAME.missing` or `NAME.level`; one code has one sentence. The sentence is the plan's
(`reason` of the feature); where the plan gives none, that of the texts that the caller holds (a party that computes
its features from the feature dictionary has them: `sealscore.clients.features.dictionary.reasons`); else a plain one
made of the feature's name. A feature that is protected, or that the plan marks as a proxy of what is, gives no reason.

A creator also asks what raised the level (`raised_of`): there a sentence that says what is, high, low or not known, is
the same, and only that of a level is another, under the code `NAME.raised`.

Plain Python on purpose: it is for a few features of one applicant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

from sealscore.shared.model.bins import AnyFeature, FeatureBins
from sealscore.shared.plan.plan import signal_platforms
from sealscore.shared.plan.schema import LevelReason, NumericReason, Sentence
from sealscore.shared.text.foreign import plain

Direction = Literal["high", "low", "missing", "level"]
Texts = Mapping[str, NumericReason | LevelReason]
"""Sentences by the name of the feature."""

Names = Mapping[str, tuple[str, str]]
"""What a creator calls a feature, in English and in Chinese, by its name."""

_NO_TEXTS: Texts = {}
_NO_NAMES: Names = {}
_PLAIN: dict[Direction, tuple[str, str]] = {
    "high": ("{} is high", "{} 偏高"),
    "low": ("{} is low", "{} 偏低"),
    "missing": ("{} is not known", "{} 缺失"),
    "level": ("The value of {} lowers the score", "{} 的取值拉低了评分"),
}
_RAISED = ("The value of {} raises the score", "{} 的取值提高了评分")
# A level is a number by which the platform sums up many columns: which side of the median it is on explains nothing.
_SIGNAL: dict[Direction, tuple[str, str]] = {
    "missing": ("No information from the {} was available", "没有来自{}的信息"),
    "level": ("What the {} says lowers the score", "{}提供的信息拉低了评分"),
}
# What applicants call the kinds of platforms that the feature dictionary knows.
_PLATFORMS = {"short-video": ("short-video platform", "短视频平台"), "wallet": ("payment wallet", "支付钱包")}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of an answer or a notice. `code` is for records and programs, `en` and `zh` for the applicant."""

    code: str
    en: str
    zh: str


def reason(part: FeatureBins, bin: int, texts: Texts = _NO_TEXTS) -> Reason | None:
    """What is said of a feature whose bin lowered an applicant's score; None where it must not be given as a reason.

    Args:
        part: the feature's bins; its `reference` shares say where the median is.
        bin: the applicant's bin, in [0, part.size).
        texts: sentences for features of which the plan gives none.

    Raises:
        ValueError: there is no such bin.
    """
    if not 0 <= bin < part.size:
        raise ValueError(f"feature {part.feature.name!r} has bins 0 to {part.size - 1}")
    return _told(part.feature, _direction(part, bin, _low_bins(part)), texts)


def reasons_of(part: FeatureBins, texts: Texts = _NO_TEXTS) -> tuple[Reason | None, ...]:
    """`reason` of every bin: a scorer makes them once, and looks them up for each applicant."""
    low = _low_bins(part)
    directions = [_direction(part, bin, low) for bin in range(part.size)]
    told = {direction: _told(part.feature, direction, texts) for direction in set(directions)}
    return tuple(told[direction] for direction in directions)


def raised_of(part: FeatureBins, texts: Texts = _NO_TEXTS, names: Names = _NO_NAMES) -> tuple[Reason | None, ...]:
    """What is said of a column whose bin raised a creator's score, for each of its bins.

    A sentence that says that a number is high, low or not known is that of `reasons_of`; that of a level says that it
    lowered the score, so here it is another one, of the feature's name.
    """
    called = names.get(part.feature.name, (plain(part.feature.name),) * 2)
    en, zh = (form.format(name) for form, name in zip(_RAISED, called, strict=True))
    raised = Reason(f"{part.feature.name}.raised", en, zh)
    found = reasons_of(part, texts)
    return tuple(raised if one is not None and one.code.endswith(".level") else one for one in found)


def _low_bins(part: FeatureBins) -> int:
    """How many bins are low: those the middle of whose persons lies below the median. So the median bin has a side.

    Shares are added one after the other: `sum` rounds in another way from one version of Python to the next, and a
    replay must find the same side.
    """
    below = list(accumulate(part.reference[: part.count], initial=0.0))
    return sum(before + after < below[-1] for before, after in pairwise(below))


def _direction(part: FeatureBins, bin: int, low: int) -> Direction:
    if bin >= part.count:
        return "missing"
    if not part.ordered:
        return "level"
    return "low" if bin < low else "high"


def _told(feature: AnyFeature, direction: Direction, texts: Texts) -> Reason | None:
    if feature.protected or feature.proxy:
        return None
    if (group := _signal_of(feature)) is not None:
        return _of_signal(feature.name, group, "missing" if direction == "missing" else "level")
    for given in (feature.reason, texts.get(feature.name)):
        if found := _given(given, direction):
            key, sentence = found
            return Reason(f"{feature.name}.{key}", sentence.en, sentence.zh)
    en, zh = (form.format(plain(feature.name)) for form in _PLAIN[direction])
    return Reason(f"{feature.name}.{direction}", en, zh)


def _of_signal(name: str, group: str, direction: Direction) -> Reason:
    platform = _PLATFORMS.get(group, (f"{plain(group)} platform", f" {plain(group)} 平台"))
    en, zh = (form.format(called).strip() for form, called in zip(_SIGNAL[direction], platform, strict=True))
    return Reason(f"{name}.{direction}", en, zh)


def _given(given: NumericReason | LevelReason | None, direction: Direction) -> tuple[Direction, Sentence] | None:
    """The sentence for a direction, or the one for whatever level."""
    directions: tuple[Direction, ...] = (direction,) if direction == "missing" else (direction, "level")
    for key in directions:
        # The texts of a caller may be of another kind than the plan's feature: a number has none for a level.
        sentence: Sentence | None = getattr(given, key, None)
        if sentence is not None:
            return key, sentence
    return None


def _signal_of(feature: AnyFeature) -> str | None:
    """The group of platforms whose signal the feature is; None for a column."""
    return signal_platforms(feature.name) if feature.kind == "categorical" and feature.ordered else None
