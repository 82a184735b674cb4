"""The node: what a partner runs. It checks every request against the approved plan before it touches data.

The server and everything that it sends is untrusted here. A request is answered only if the plan allows it, at most
as often as the plan says, and it is charged before a record is read. Whatever happens after that, the answer is a
contribution of plan-fixed length or a refusal by a code that does not depend on the data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from clients.context import RoundContext
from clients.lender import Lender
from clients.refused import Refused
from shared.aggregation import Aggregation, SumId
from shared.messages import (
    Header,
    Hello,
    Message,
    MessageError,
    Publish,
    Ready,
    Refusal,
    Stored,
    SumAnswer,
    SumRequest,
    decode,
    digest,
    encode,
)
from shared.phases import Phase
from shared.plan import Plan
from shared.privacy.events import Event
from shared.privacy.mechanisms import Mechanism, Mechanisms
from shared.privacy.streams import Purpose, StreamSource
from shared.records import Records

SERVER = "server"
# Far above any useful weight, and small enough that no product of weights and codes overflows float64.
MAX_WEIGHT = 1e6
# A public part is bins or weights of one tower; nothing that a plan can describe is larger.
MAX_PART = 8 * 1024 * 1024


class Node:
    """One party under one approved plan.

    `charge` is told of every release before it happens, with the header of the request and the event; it raises
    `Refused` if the release must not happen. The caller keeps what it is told: this object holds no budget.
    """

    def __init__(
        self,
        plan: Plan,
        party: str,
        records: Records,
        secret: StreamSource,
        aggregation: Aggregation,
        charge: Callable[[Header, Event], None],
    ) -> None:
        self.plan = plan
        self.name = party
        self._group = plan.party(party).group
        self._mechanisms = Mechanisms(plan)
        self._phases = {phase.name: (index, phase) for index, phase in enumerate(self._mechanisms.phases)}
        self._role = Lender(plan, self._mechanisms, records)
        self._secret = secret
        self._aggregation = aggregation
        self._charge = charge
        self._run: str | None = None
        self._last = (-1, 0, 0)
        self._answered: dict[str, int] = {}
        self._parts: dict[str, bytes] = {}
        self._answers: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def answer(self, request: bytes) -> bytes:
        """Answer one request; never raises, and says nothing about the data but by the contribution itself."""
        header = Header("", "", "", 0, 0, "", "")
        with self._lock:
            try:
                message = decode(request, Hello, Publish, SumRequest)
                header = message.header
                key = digest(request)
                if key in self._answers:
                    return self._answers[key]
                self._check_header(header)
                reply = encode(self._dispatch(message))
                if isinstance(message, SumRequest):
                    self._answers[key] = reply
                return reply
            except Refused as refusal:
                return encode(Refusal(self._reply(header), refusal.code))
            except MessageError:
                return encode(Refusal(self._reply(header), "malformed"))
            except Exception:
                # The text of an exception can hold data; the operator finds the fault by the local check.
                return encode(Refusal(self._reply(header), "unavailable"))

    def _reply(self, header: Header) -> Header:
        return Header(
            header.plan, header.run, header.phase, header.round, header.attempt, sender=self.name, recipient=SERVER
        )

    def _check_header(self, header: Header) -> None:
        if header.plan != self.plan.hash:
            raise Refused("other-plan")
        if header.recipient != self.name or header.sender != SERVER:
            raise Refused("misaddressed")
        if self._run is None:
            self._run = header.run
        if header.run != self._run:
            raise Refused("plan-has-run")

    def _dispatch(self, message: Hello | Publish | SumRequest) -> Message:
        reply = self._reply(message.header)
        if isinstance(message, Hello):
            return Ready(reply)
        if isinstance(message, Publish):
            if len(message.body) > MAX_PART:
                raise Refused("part-too-large")
            key = digest(message.body)
            self._parts[key] = message.body
            return Stored(reply, key)
        return SumAnswer(reply, self._contribute(message))

    def _contribute(self, request: SumRequest) -> bytes:
        header = request.header
        phase = self._check_order(header)
        self._check_cohort(request.cohort)
        if not np.all(np.abs(request.parameters) <= MAX_WEIGHT):
            raise Refused("bad-parameters")
        parts = self._resolve(request.parts)
        compute, mechanism = self._role.prepare(phase, request.parameters, parts)
        self._charge(header, mechanism.event)
        self._last = (self._phases[phase.name][0], header.round, header.attempt)
        self._answered[phase.name] = self._answered.get(phase.name, 0) + 1
        return self._release(request, phase, compute, mechanism)

    def _check_order(self, header: Header) -> Phase:
        if header.phase not in self._phases:
            raise Refused("unknown-phase")
        index, phase = self._phases[header.phase]
        if phase.group != self._group:
            raise Refused("other-group")
        if not 1 <= header.round <= phase.rounds:
            raise Refused("no-such-round")
        if (index, header.round, header.attempt) <= self._last:
            raise Refused("out-of-order")
        if self._answered.get(phase.name, 0) >= phase.attempts:
            raise Refused("attempts-spent")
        return phase

    def _check_cohort(self, cohort: tuple[str, ...]) -> None:
        members = {party.name for party in self.plan.members(self._group)}
        if len(set(cohort)) != len(cohort) or not set(cohort) <= members or self.name not in cohort:
            raise Refused("bad-cohort")
        if len(cohort) < self.plan.groups[self._group].min_parties:
            raise Refused("cohort-too-small")

    def _resolve(self, parts: dict[str, str]) -> dict[str, bytes]:
        try:
            return {name: self._parts[key] for name, key in parts.items()}
        except KeyError:
            raise Refused("part-missing") from None

    def _release(
        self, request: SumRequest, phase: Phase, compute: Callable[[RoundContext], np.ndarray], mechanism: Mechanism
    ) -> bytes:
        header, cohort = request.header, tuple(sorted(request.cohort))
        context = RoundContext(self._secret, header, self.name, mechanism, len(cohort))
        vector = compute(context)
        if not mechanism.own_noise_only:
            vector = mechanism.noised(vector, context.stream(Purpose.NOISE), len(cohort))
        sum_id = SumId(header.plan, header.run, phase.name, header.round, header.attempt, cohort)
        return self._aggregation.protect(sum_id, mechanism.shape, self.name, vector)
