"""Replay: compute every logged answer anew from its bins, and name those that differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
        release, role = str(line.content["release"]), str(line.content["role"])
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
        # Sentences may be worded better by a later version; what was a reason, and of what weight, may not change.
        same = (
            content["logit"] == logits[place].hex()
            and content["pd"] == pds[place]
            and content["points"] == points[place]
            and [(reason["code"], reason["points"]) for reason in content["reasons"]] == reasons
        )
        if same:
            found.same += 1
        else:
            found.differ.append(seq)


def _bins(block: list[tuple[int, dict[str, Any]]]) -> np.ndarray | None:
    """The bins of lines [n, features]; None where they are none of one model."""
    try:
        return np.array([content["bins"] for _, content in block], dtype=np.int16)
    except (ValueError, OverflowError, TypeError):
        return None
