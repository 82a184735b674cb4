"""Which policies a lender has approved, as the lines of its log of scores say: one is live, others run beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.scoring.score_log import ScoreLog

PolicyUse = Literal["live", "shadow", "retired"]


class NoPolicy(ValueError):
    """No policy may decide; the message has the fix."""


@dataclass
class ApprovedPolicies:
    """All policies by hash, what each is used for, and the day since."""

    policies: dict[str, DecisionPolicy] = field(default_factory=dict)
    uses: dict[str, PolicyUse] = field(default_factory=dict)
    since: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, log: ScoreLog) -> ApprovedPolicies:
        """Those of a log."""
        found = cls()
        for line in log.notes():
            content = line.content or {}
            hash, use = str(content["policy"]), str(content["use"])
            if hash not in found.policies:
                found.policies[hash] = DecisionPolicy.parse(json.loads(content["text"]))
            found._use(hash, "live" if use == "live" else "shadow" if use == "shadow" else "retired", line.at)
        return found

    def _use(self, hash: str, use: PolicyUse, at: str) -> None:
        if use == "live" and (before := self.live_hash) not in (None, hash):
            self.uses[str(before)], self.since[str(before)] = "retired", at
        self.uses[hash], self.since[hash] = use, at

    @property
    def live_hash(self) -> str | None:
        """The hash of the live one."""
        return next((hash for hash, use in self.uses.items() if use == "live"), None)

    @property
    def live(self) -> DecisionPolicy:
        """The one that decides; NoPolicy where none does."""
        hash = self.live_hash
        if hash is None:
            raise NoPolicy("no policy is live: sealscore-node policy approve FILE")
        return self.policies[hash]

    @property
    def shadows(self) -> Mapping[str, DecisionPolicy]:
        """Those that decide beside it, without effect."""
        return {hash: self.policies[hash] for hash, use in self.uses.items() if use == "shadow"}

    def found(self, begins: str) -> DecisionPolicy:
        """The policy whose hash begins so; NoPolicy where there is none or several."""
        known = [hash for hash in self.policies if hash.startswith(begins)]
        if len(known) != 1 or len(begins) < 8:
            raise NoPolicy(f"{len(known)} policies begin so; give at least eight digits: sealscore-node policy list")
        return self.policies[known[0]]


def use_policy(log: ScoreLog, policy: DecisionPolicy, use: PolicyUse, caller: str) -> None:
    """Use a policy from now on, as a signed line of the log; ScoreLogError where it cannot be written."""
    content = {"policy": policy.hash, "use": use, "caller": caller, "text": policy.canonical()}
    with log.commit() as batch:
        batch.note_policy(content)
