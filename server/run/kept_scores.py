"""The scores that a run leaves for a later plan to calibrate again, and what such a plan takes of them.

`scores/TOWER/` has them as they were published: `bins`, `codes` of an additive one, and `weights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sealscore.shared.files import write_whole
from sealscore.shared.messages.parts import score_digest, weights_from_bytes, weights_to_bytes
from sealscore.shared.model.score_model import ModelFileError, ScoreModel
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import FALLBACK, Plan
from sealscore.shared.plan.towers import towers
from sealscore.shared.serving.release import MODEL

SCORES = "scores"
_BINS, _CODES, _WEIGHTS = "bins", "codes", "weights"


@dataclass(frozen=True, eq=False)
class PublishedScore:
    """A score before its calibration, as parties were asked for it: weights float64 [p] over its published parts."""

    bins: bytes
    weights: np.ndarray
    codes: bytes | None = None

    @property
    def digest(self) -> str:
        """What stands for it in a plan."""
        return score_digest(self.bins, self.codes, self.weights)

    @property
    def parts(self) -> dict[str, bytes]:
        """Its published parts by name."""
        return {_BINS: self.bins, **({} if self.codes is None else {_CODES: self.codes})}

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, body in {**self.parts, _WEIGHTS: weights_to_bytes(self.weights)}.items():
            write_whole(folder / name, body)

    @classmethod
    def load(cls, folder: Path) -> PublishedScore:
        """Read one; OSError or ValueError where there is none."""
        weights, codes = (folder / _WEIGHTS).read_bytes(), folder / _CODES
        return cls(
            (folder / _BINS).read_bytes(),
            weights_from_bytes(weights, len(weights) // 8),
            codes.read_bytes() if codes.exists() else None,
        )


@dataclass(frozen=True, eq=False)
class KeptScore:
    """A score that a plan keeps, and the model in which it was published with its earlier calibration."""

    published: PublishedScore
    model: ScoreModel


def score_digests(folder: Path, plan: Plan) -> dict[str, str]:
    """What stands for each score of a finished run's folder.

    Raises:
        PlanError: the run left none, as those of earlier versions did.
    """
    return {name: kept.published.digest for name, kept in _read(plan, folder).items()}


def kept_scores(plan: Plan, folder: Path | None) -> dict[str, KeptScore]:
    """The scores that a plan names under `scores_from`, of the folder of that run; none for a plan without it.

    Raises:
        PlanError: there is no such run, or its scores are others; names the key and the fix.
    """
    source = plan.scores_from
    if source is None:
        return {}
    if folder is None or not (folder / "run.json").is_file():
        what = f"scores_from.plan = {source.plan}: there is no folder of a finished run of that plan; put it back"
        raise PlanError(plan.name, [what])
    try:
        held = Plan.from_canonical((folder / "plan.json").read_bytes()).hash
    except (OSError, PlanError) as error:
        raise PlanError(plan.name, [f"scores_from.plan = {source.plan}: {folder} holds no run ({error})"]) from None
    found = _read(plan, folder)
    wrong = [] if held == source.plan else [f"scores_from.plan = {source.plan}: {folder} is of another; put it back"]
    wrong += [
        f"scores_from.towers.{name} = {source.towers[name]}: that run left {kept.published.digest}; write that"
        for name, kept in found.items()
        if source.towers[name] != kept.published.digest
    ]
    if wrong:
        raise PlanError(plan.name, wrong)
    return found


def _read(plan: Plan, folder: Path) -> dict[str, KeptScore]:
    found = {}
    for tower in towers(plan):
        if not tower.scores:
            continue
        try:
            published = PublishedScore.load(folder / SCORES / tower.name)
            model = ScoreModel.load(folder / (FALLBACK if tower.name == FALLBACK else MODEL))
        except (OSError, ValueError, ModelFileError) as error:
            what = (
                f"{folder}: has no score of {tower.name} that can be calibrated again ({error}); runs of earlier "
                "versions left none, so train the head instead"
            )
            raise PlanError(plan.name, [what]) from None
        found[tower.name] = KeptScore(published, model)
    return found
