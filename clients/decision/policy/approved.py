"""Which policies a lender has approved, as the lines of its log of scores say: one is live, others run beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.scoring.score_log import ScoreLine, ScoreLog

PolicyUse = Literal["live", "shadow", "retired"]


class NoPolicy(ValueError):
    """No policy may decide; the message has the fix."""


@dataclass
class PolicyUses:
    """What policies are used for, by hash, and the day since; `noted` is the number of the last line that says so."""

    uses: dict[str, PolicyUse] = field(default_factory=dict)
    since: dict[str, str] = field(default_factory=dict)
    noted: int = 0

    def note(self, line: ScoreLine) -> None:
        """A line of a policy."""
        content = line.content or {}
        hash, use = str(content["policy"]), str(content["use"])
        if use == "live" and (before := self.live_hash) not in (None, hash):
            self.uses[str(before)], self.since[str(before)] = "retired", line.at
        self.uses[hash] = "live" if use == "live" else "shadow" if use == "shadow" else "retired"
        self.since[hash], self.noted = line.at, line.seq

    @property
    def live_hash(self) -> str | None:
        """The hash of the live one."""
        return next((hash for hash, use in self.uses.items() if use == "live"), None)

    @property
    def shadow_hashes(self) -> list[str]:
        """The hashes of those that decide beside it."""
        return [hash for hash, use in self.uses.items() if use == "shadow"]


@dataclass
class ApprovedPolicies(PolicyUses):
    """All policies by hash, what each is used for, and the day since."""

    policies: dict[str, DecisionPolicy] = field(default_factory=dict)

    @classmethod
    def of(cls, log: ScoreLog) -> ApprovedPolicies:
        """Those of a log."""
        found = cls()
        for line in log.notes():
            found.note(line)
            content = line.content or {}
            if content["policy"] not in found.policies:
                found.policies[content["policy"]] = DecisionPolicy.parse(json.loads(content["text"]))
        return found

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
        return {hash: self.policies[hash] for hash in self.shadow_hashes}

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
        batch.note("policy", content)
