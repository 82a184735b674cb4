"""Typed requests to parties and their typed replies; whatever is no good reply becomes a short code."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sealscore.server.transport.exchange import TIMEOUT, UNAVAILABLE, Failure
from sealscore.server.transport.messenger import Messenger
from sealscore.shared.messages.address import Address
from sealscore.shared.messages.codec import digest
from sealscore.shared.messages.messages import (
    Finish,
    PairAnswer,
    Publish,
    Ready,
    Refusal,
    Reply,
    Request,
    Stored,
    SumAnswer,
)
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import SERVER, Plan

INVALID = "invalid reply"
# Codes come from parties, so only this much of one is kept.
_CODE = 40
# Seconds between two looks for a party that is needed and away.
_LOOK = 1.0

R = TypeVar("R", Ready, Stored, SumAnswer, PairAnswer)


# What a party says whose answers will never come: its plan is over there, or the budget has no more of what is asked.
_OVER = frozenset(f"refused: {code}" for code in ("expired", "plan-has-run", "attempts-spent"))
_NOT_APPROVED = "refused: not-approved"


class PhaseFailed(RuntimeError):
    """A phase cannot continue: too few parties are left. The message names them and how they failed.

    Where that is so for good, whoever comes back, it is `final`, and the run cannot be continued: `settled` are then
    the parties that have heard it and have ended the plan, `untold` those that have not.
    """

    def __init__(self, what: str, final: bool = False) -> None:
        super().__init__(what)
        self.final = final
        self.settled: tuple[str, ...] = ()
        self.untold: tuple[str, ...] = ()


def lost_for_good(reason: str, answered: bool) -> bool:
    """Whether a party that failed with this reason will not answer again, `answered` if it has in this run before.

    Who has not may have to approve the plan yet; who has, has revoked it, and a plan is approved once.
    """
    return reason in _OVER or (answered and reason == _NOT_APPROVED)


class PartyClient:
    """Sends the requests of one run of a plan and reads the replies; a reply must repeat the request's header.

    A party without which the plan cannot continue may be away for `absence` seconds, while its node is started again.
    """

    def __init__(self, plan: Plan, run: str, messenger: Messenger, timeout: float | None, absence: float = 0.0) -> None:
        self._plan, self.run, self._messenger, self._timeout = plan, run, messenger, timeout
        self._absence = absence
        self._published: dict[str, dict[str, bytes]] = {}

    def header(self, phase: Phase, round: int, attempt: int, party: str) -> Address:
        """The header of a request to a party."""
        return Address(self._plan.hash, self.run, phase.name, round, attempt, SERVER, party)

    def ask(self, requests: Mapping[str, Request], expected: type[R]) -> dict[str, R | str]:
        """Each party's reply of the expected type, or a short code of what came in its place."""
        if not requests:
            return {}
        replies = self._messenger.ask(requests, self._timeout)
        return {party: _read(reply, requests[party].header, expected) for party, reply in replies.items()}

    def bear(self, since: float) -> bool:
        """Wait a moment for a party that is needed; False where it has been away too long `since` (monotonic time)."""
        left = since + self._absence - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, _LOOK))
        return True

    def publish(self, phase: Phase, name: str, body: bytes, needed: bool = True) -> str:
        """Send a public part of the model to every party of the phase's group; returns its digest.

        One that is not `needed` is sent to nobody, since no party will be asked for anything that builds on it.

        Raises:
            PhaseFailed: nobody keeps it.
        """
        self._published.setdefault(phase.tower, {})[name] = body
        if not needed:
            return digest(body)
        key, began = digest(body), time.monotonic()
        while True:
            replies = self._send_part(phase, name, [party.name for party in self._plan.members(phase.group)])
            if any(isinstance(reply, Stored) and reply.digest == key for reply in replies.values()):
                return key
            away = any(reply in (UNAVAILABLE, TIMEOUT) for reply in replies.values())
            if not (away and self.bear(began)):
                break
        codes = [f"{p} ({reply if isinstance(reply, str) else 'other bytes'})" for p, reply in sorted(replies.items())]
        raise PhaseFailed(f"{phase.name}: no party kept the part {name!r}: {', '.join(codes)}")

    def finish(self, phase: Phase) -> list[str]:
        """Inform all parties that the run has ended; gives who heard it. Who does not waits until the plan expires."""
        names = [party.name for party in self._plan.parties]
        replies = self.ask({name: Finish(self.header(phase, 0, 0, name)) for name in names}, Ready)
        return [name for name, reply in replies.items() if isinstance(reply, Ready)]

    def publish_again(self, phase: Phase, parties: Sequence[str]) -> None:
        """Send all parts of the phase's tower that were sent so far to parties that may have missed some."""
        for name in self._published.get(phase.tower, {}):
            self._send_part(phase, name, parties)

    def _send_part(self, phase: Phase, name: str, parties: Sequence[str]) -> dict[str, Stored | str]:
        body = self._published[phase.tower][name]
        return self.ask({party: Publish(self.header(phase, 0, 0, party), name, body) for party in parties}, Stored)


def _read(reply: Reply | Failure, asked: Address, expected: type[R]) -> R | str:
    if isinstance(reply, Failure):
        return reply.reason
    if reply.header != asked.reply():
        return INVALID
    if isinstance(reply, Refusal):
        return f"refused: {reply.code[:_CODE]}"
    return reply if isinstance(reply, expected) else INVALID
