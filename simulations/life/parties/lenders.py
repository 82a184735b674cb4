"""The lenders of a life: each scores, decides, reviews and lends with the code that a lender runs, under one policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.clients.decision.loans import LoanBook
from sealscore.clients.decision.policy.approved import ApprovedPolicies, use_policy
from sealscore.clients.decision.policy.file import load_policy
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import DecisionError
from sealscore.clients.decision.reviews import PersonsWord, ReviewDesk
from sealscore.clients.decision.service import DecisionService
from sealscore.clients.scoring.batches import take_batch
from sealscore.clients.scoring.log_days import close_days
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.service import ScoreService
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.identity.identity import Card
from sealscore.shared.ledger.entries import AdmitRelease
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.serving.manifest import Cutoffs
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.serving_keys import ServingKeys, ServingPeer, month_of
from sealscore.simulations.life.config import Reviewers
from sealscore.simulations.life.parties.opening import Opened

POLICY_FILE = Path(__file__).with_name("policy.toml")
IDENTITY, DECLINES = "identity", "declines"
CALLER, REVIEWER = "life", "reviewer 1"
# Points below the cut-off within which a person looks.
_GREY = 10
RETENTION_DAYS = 1826
_REASON = "a reviewer of the simulation looked at the papers"


@dataclass(frozen=True)
class Verdict:
    """What came of an application that waited: `amount` is 0 where it was declined."""

    at: int
    amount: int


@dataclass(frozen=True)
class _Waiting:
    at: int
    day: date
    decision: str
    queue: str
    proposal: str
    most: int


def life_policy(cutoffs: Cutoffs | None) -> DecisionPolicy:
    """The shipped policy with the cut-offs of a release, where it has any."""
    policy = load_policy(POLICY_FILE)
    if cutoffs is None:
        return policy
    data = policy.model_dump(mode="json")
    for product in data["products"].values():
        for role, points in (("champion", cutoffs.champion), ("fallback", cutoffs.fallback)):
            if points is not None:
                # Invoices keep their distance: they are paid by somebody else.
                lower = 540 - product[role]["approve"]
                product[role] = {"approve": points - lower, "review": points - lower - _GREY}
    return DecisionPolicy.parse(data)


def lendable(policy: DecisionPolicy, product: str, most: float) -> float:
    """What a reviewer can approve of an amount: all of it, or nothing below the product's smallest loan."""
    return most if most >= policy.products[product].limits.smallest else 0.0


class LifeLender:
    """One lender: its ledger, its log, its services for the month, and what waits for its reviewers."""

    def __init__(self, place: int, name: str, opened: Opened, folder: Path, knobs: Reviewers, seed: int) -> None:
        self.place, self.name = place, name
        self._identity, self._knobs = opened.identities[name], knobs
        self._random = np.random.default_rng([seed, place])
        self.ledger = Ledger(opened.ledgers[name], self._identity)
        self.log_file = folder / f"{name}.scores.db"
        self.log = ScoreLog(LogKeys.fresh(), self.log_file)
        self._form = opened.plan.alignment.identifier
        self.book = LoanBook(self.log, NORMAL_FORMS[self._form])
        self.releases: dict[str, Release] = {}
        """All that were ever live here, by hash: the last one is."""
        self.use(opened.release)
        self._keys: list[ServingKeys] = []
        self._scores: ScoreService | None = None
        self._decisions: DecisionService | None = None
        self._waiting: list[_Waiting] = []

    def use(self, release: Release) -> None:
        """Approve a release, and score by it from the next month on, under the policy with its cut-offs; the one before
        scores in shadow.
        """
        manifest = release.manifest
        entry = AdmitRelease(release=manifest.hash, plan=manifest.plan, text=manifest.canonical())
        self.ledger.append(lambda state: entry)
        self.releases[manifest.hash] = release
        use_policy(self.log, life_policy(manifest.cutoffs), "live", CALLER)
        self._policies = ApprovedPolicies.of(self.log)
        self._desk = ReviewDesk(self.log, self._policies)

    @property
    def release(self) -> Release:
        """The live release."""
        return list(self.releases.values())[-1]

    @property
    def policy(self) -> DecisionPolicy:
        """The live policy."""
        return self._policies.live

    @property
    def policies(self) -> Mapping[str, DecisionPolicy]:
        """All policies that were ever live, by hash."""
        return self._policies.policies

    def naming(self) -> bytes:
        """The secret that names persons in its log."""
        return self.log.keys.naming

    def begin_month(self, today: date) -> ServingPeer:
        """A fresh serving key for the month, beside those of which tokens are still about; what platforms seal to."""
        keys = ServingKeys.of(self._identity, month_of(today), PlanKeys.secret())
        self._keys = [*self._keys[-2:], keys]
        codes = {hash: one.manifest.retraining_code for hash, one in self.releases.items()}
        retraining = {hash: code for hash, code in codes.items() if code}
        shadow = list(self.releases.values())[-2] if len(self.releases) > 1 else None
        scores = self._scores = ScoreService(self.release, self._keys, self.log, self.releases, shadow, retraining)
        self._decisions = DecisionService(scores, self.log, self._policies, self._form)
        close_days(self.ledger, self.log, today)
        return ServingPeer.read(keys.certificate, self._identity.card)

    def decide(self, asked: Sequence[dict[str, Any]], places: Sequence[int], today: date) -> list[dict[str, Any]]:
        """Score and decide the day's applications; those that wait are reviewed after some days."""
        if self._decisions is None:
            raise RuntimeError("a month begins before its decisions")
        answers = self._decisions.decide_many(asked, CALLER, today)
        for at, one, answer in zip(places, asked, answers, strict=True):
            if answer["state"] == "waiting":
                days = self.policy.queues[answer["queue"]].days
                due = date.fromordinal(today.toordinal() + int(self._random.integers(1, days + 1)))
                most = int(lendable(self.policy, one["product"], min(int(answer["limit"] or 0), int(one["amount"]))))
                kept = _Waiting(at, due, answer["decision_id"], answer["queue"], answer["proposal"], most)
                self._waiting.append(kept)
        return answers

    def score_again(self, asked: dict[str, Any], today: date) -> dict[str, Any]:
        """Score an application once more, as a new version of it."""
        if self._scores is None:
            raise RuntimeError("a month begins before its scores")
        return self._scores.score(asked, CALLER, today)

    def review(self, today: date, fraud: np.ndarray) -> list[tuple[Verdict, str]]:
        """What reviewers decide today, with the decision's id; `fraud` [a] says what a good look may find."""
        due = [one for one in self._waiting if one.day <= today]
        self._waiting = [one for one in self._waiting if one.day > today]
        found = []
        for one in due:
            amount = one.most if self._approves(one, bool(fraud[one.at])) else 0
            try:
                self._take(one, amount, today)
            except DecisionError:
                # Another loan or approval took the room meanwhile, or a consent was withdrawn.
                amount = 0
                self._take(one, amount, today)
            found.append((Verdict(one.at, amount), one.decision))
        return found

    def _approves(self, one: _Waiting, fraud: bool) -> bool:
        if one.queue == IDENTITY:
            return bool(
                self._random.random() >= self._knobs.finds if fraud else self._random.random() < self._knobs.clears
            )
        share = self._knobs.overrides if one.queue == DECLINES else self._knobs.general
        return bool(self._random.random() < share)

    def _take(self, one: _Waiting, amount: int, today: date) -> None:
        word = PersonsWord(REVIEWER, "approve" if amount else "decline", _REASON, amount or None)
        self._desk.take(one.decision, word, CALLER, today)

    def take(self, batch: str, today: date) -> str:
        """Take a platform's batch; its receipt."""
        taken = (self._identity, self.ledger, self.log, self.releases, self._keys, today, RETENTION_DAYS)
        return take_batch(batch, *taken)[0]

    @property
    def card(self) -> Card:
        """Its card, by which receipts are checked."""
        return self._identity.card

    @property
    def waits(self) -> bool:
        """Whether somebody waits for a review."""
        return bool(self._waiting)

    def close(self) -> None:
        """Close its files."""
        self.log.close()
        self.ledger.close()
