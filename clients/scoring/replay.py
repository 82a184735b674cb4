"""Replay: compute every logged answer anew from its bins, and name those that differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast

import msgspec
import numpy as np

from sealscore.clients.scoring.score_log import ScoreLine
from sealscore.clients.scoring.scorer import Scorer
from sealscore.shared.serving.release import Release

# Lines that are computed together.
_BLOCK = 4096


@dataclass
class Replayed:
    """How a replay went: lines that gave the same answer, and the numbers of those that did not.

    `erased` are lines whose person's key is gone, with the day; `unknown` those of a release that is not here.
    """

    same: int = 0
    differ: list[int] = field(default_factory=list)
    erased: dict[int, str] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every line that can be read gave the same answer."""
        return not self.differ and not self.unknown


class _Reason(TypedDict):
    code: str
    points: float


class _Kept(TypedDict):
    release: str
    role: str
    bins: list[int]
    logit: str
    pd: float
    points: int
    reasons: list[_Reason]


_KEPT = msgspec.json.Decoder(_Kept)


def replayed_part(plain: bytes) -> dict[str, Any]:
    """Of a line's content what `replay` looks at, since reading all takes longer than computing it; all of what has not
    that form. Raises msgspec.DecodeError where it is no JSON.
    """
    try:
        return cast(dict[str, Any], _KEPT.decode(plain))
    except msgspec.ValidationError:
        return cast(dict[str, Any], msgspec.json.decode(plain))


def replay(lines: Iterable[ScoreLine], releases: Mapping[str, Release]) -> Replayed:
    """Compute the answers of lines anew, bit for bit: those of a release and a role together.

    The answer follows from bins alone, so it is the same alone and in a block.
    """
    found, scorers = Replayed(), {hash: Scorer(release) for hash, release in releases.items()}
    waiting: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
    for line in lines:
        if line.kind != "score":
            continue
        if line.content is None:
            found.erased[line.seq] = line.erased
            continue
        release, role = str(line.content.get("release")), str(line.content.get("role"))
        if release not in scorers or role not in scorers[release].models:
            found.unknown.append(line.seq)
            continue
        block = waiting.setdefault((release, role), [])
        block.append((line.seq, line.content))
        if len(block) == _BLOCK:
            _block(found, scorers[release], role, waiting.pop((release, role)))
    for (release, role), block in waiting.items():
        _block(found, scorers[release], role, block)
    found.differ.sort()
    return found


def _block(found: Replayed, scorer: Scorer, role: str, block: list[tuple[int, dict[str, Any]]]) -> None:
    bins, sizes = _bins(block), np.array(scorer.models[role].binning.sizes)
    if bins is None or bins.shape[1:] != sizes.shape or not ((bins >= 0) & (bins < sizes)).all():
        # One of them has bins that are none of the model's, and not the others.
        for one in block if len(block) > 1 else ():
            _block(found, scorer, role, [one])
        found.differ += [block[0][0]] if len(block) == 1 else []
        return
    logits, pds, points = (figures.tolist() for figures in scorer.figures(role, bins))
    for place, reasons in enumerate(scorer.weights(role, bins)):
        seq, content = block[place]
        if _said(content) == (logits[place].hex(), pds[place], points[place], reasons):
            found.same += 1
        else:
            found.differ.append(seq)


def _said(content: dict[str, Any]) -> tuple[Any, ...] | None:
    """What a line says that follows from its bins; None where it lacks a part, or has one of another form.

    Sentences may be worded better by a later version; what was a reason, and of what weight, may not change.
    """
    try:
        reasons = [(reason["code"], reason["points"]) for reason in content["reasons"]]
        return content["logit"], content["pd"], content["points"], reasons
    except (KeyError, TypeError):
        return None


def _bins(block: list[tuple[int, dict[str, Any]]]) -> np.ndarray | None:
    """The bins of lines [n, features]; None where they are none of one model."""
    try:
        return np.array([content["bins"] for _, content in block], dtype=np.int16)
    except (KeyError, ValueError, OverflowError, TypeError):
        return None
