"""The folder of a run, as a report reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.shared.model.released.score_tables import ScoreTables
from sealscore.shared.model.score_model import ModelFileError, ScoreModel
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import FALLBACK, Plan

_NEEDED = (
    *("plan", "run", "started", "seconds", "privacy", "evaluation", "score_tables", "early", "failures"),
    *("answered", "traffic", "payloads", "payload_bytes_per_applicant"),
)
_PROTECTED = {"sums": "masked", "payloads": "sealed", "alignment": "psi"}


class NotARun(ValueError):
    """A folder that holds no whole run, or a run whose parts do not belong together; the message says which."""


@dataclass(frozen=True)
class Protection:
    """What kept the server and peers from more than they are due: only what the run's record states counts.

    `masked` sums hide each party's contribution from the server, `sealed` payloads are closed to it, and a `private`
    alignment hides from a platform whom of a lender's persons it does not know.
    """

    masked: bool
    sealed: bool
    private: bool

    @classmethod
    def of(cls, record: dict[str, Any]) -> Protection:
        """From the record's `protection`; what it does not name was not there."""
        stated = record.get("protection") or {}
        return cls(*(stated.get(name) == value for name, value in _PROTECTED.items()))


@dataclass(frozen=True)
class RunFolder:
    """A run: `record` is what the server may know (run.json), `oracle` what only a simulation does, if there is any."""

    folder: Path
    plan: Plan
    record: dict[str, Any]
    rounds: pl.DataFrame
    model: ScoreModel
    towers: dict[str, ScoreModel]
    oracle: dict[str, Any] | None
    fallback: ScoreModel | None = None

    @classmethod
    def load(cls, folder: Path) -> RunFolder:
        """Read a folder.

        Raises:
            NotARun: a file is missing, unreadable or of another plan, or the record is of an older form.
        """
        try:
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            plan = Plan.from_canonical((folder / "plan.json").read_bytes())
            if plan.monitoring is not None:
                raise ValueError("its plan counts and trains nothing; its figures are in watch.txt and run.json")
            rounds = pl.read_parquet(folder / "rounds.parquet")
            model = ScoreModel.load(folder / "model")
            towers = {group: ScoreModel.load(folder / "towers" / group) for group in plan.platforms}
            oracle = _oracle(folder / "oracle.json")
            fallback = ScoreModel.load(folder / FALLBACK) if plan.model.fallback else None
        except (OSError, ValueError, PlanError, ModelFileError, pl.exceptions.PolarsError) as error:
            raise NotARun(f"{folder} holds no whole run: {error}") from error
        needed = (*_NEEDED, FALLBACK, "fallback_tables") if plan.model.fallback else _NEEDED
        lacking = [name for name in needed if not isinstance(record, dict) or name not in record]
        if lacking:
            raise NotARun(f"{folder / 'run.json'} lacks {', '.join(lacking)}: an older run? Run the plan again")
        for part, found in {"run.json": record["plan"]["hash"], "model": model.card.get("plan")}.items():
            if found != plan.hash:
                raise NotARun(f"{folder / part} belongs to the plan {found}, and plan.json to {plan.hash}")
        return cls(folder, plan, record, rounds, model, towers, oracle, fallback)

    @property
    def protection(self) -> Protection:
        """See `Protection`."""
        return Protection.of(self.record)

    @property
    def unsealed(self) -> bool:
        """Whether the run was one of the research engine: nothing was sent, and no ledger was written."""
        return bool(self.record.get("engine") == "fast")

    @cached_property
    def tables(self) -> ScoreTables:
        """The noisy tables of scores by label."""
        bands = {name: self.plan.bands(name) for name in self.plan.evaluation.groups}
        return ScoreTables.of_record(self.record["score_tables"], bands)

    @cached_property
    def fallback_tables(self) -> ScoreTables | None:
        """The same of the fallback, which has no bands; None where there is none."""
        return ScoreTables.of_record(self.record["fallback_tables"], {}) if self.plan.model.fallback else None

    def answered(self, phase: str) -> int:
        """The most attempts of a phase that one party may have answered."""
        return max(self.record["answered"].get(phase, {}).values(), default=0)

    def answers_of(self, party: str) -> int:
        """Attempts of all phases that a party may have answered."""
        return sum(counts.get(party, 0) for counts in self.record["answered"].values())


def _oracle(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def counts_record(folder: Path) -> dict[str, Any] | None:
    """The record of a run of counts; None where the folder holds any other run, or none that can be read."""
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "monitoring" in record else None
