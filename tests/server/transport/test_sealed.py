"""The server behind seals: all join, one that lost its keys joins again, and what is not a party's own is a failure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from builders import BIN, EVALUATE, LENDERS, RUN, TRAIN, mechanisms, phase_of, small_federation, small_plan
from doubles import DirectExchange, Quiet

from sealscore.clients.node.sealed import SealedNode
from sealscore.server.run.coordinator import Coordinator, RunOutcome
from sealscore.server.transport.exchange import Failure
from sealscore.server.transport.sealed import SealedExchange
from sealscore.shared.crypto.aggregation import MaskedSum, PlainSum
from sealscore.shared.crypto.sealing import PlanKeys, is_signed, open_signed, sign_message
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Hello, Joined, Ready, Refusal, SumAnswer, SumRequest
from sealscore.shared.model.bins import histogram_length
from sealscore.shared.plan.plan import SERVER
from sealscore.simulations.engine.enrolment import enrolled, identities
from sealscore.simulations.engine.federation import Federation

PLAN = enrolled(small_plan())


class Run:
    """A federation, the server's sealed exchange over its doors, and a way to lose a party's keys."""

    def __init__(self, spoil: Any = None, **changes: Any) -> None:
        self.federation = Federation.of(small_plan(**changes), small_federation())
        self.plan = self.federation.plan
        self.doors = dict(self.federation.doors)
        self.members = identities(self.plan)
        self.inner = DirectExchange(self.doors, spoil)
        self.server = SealedExchange(self.inner, self.plan, RUN, self.members[SERVER])

    def lose_keys(self, name: str) -> None:
        """A new door before the same node, as after a restart that lost the keys of the run."""
        masks = self.doors[name]._masks
        trust = TrustStore.simulated(self.plan.cards.values())
        self.doors[name] = SealedNode(self.federation.nodes[name], masks, self.members[name], trust)

    def coordinate(self, before: Callable[[dict[str, Any]], None] = lambda row: None) -> tuple[RunOutcome, Quiet]:
        """The whole plan; `before` is told of each round that is done, so before the next one."""
        quiet = Quiet()
        kept = quiet.round

        def told(row: dict[str, Any]) -> None:
            kept(row)
            before(row)

        quiet.round = told  # type: ignore[method-assign]
        return Coordinator(self.plan, RUN, self.server, PlainSum(), quiet, patience=1.0).run(), quiet

    def header(self, party: str, phase: str = BIN, round: int = 1, attempt: int = 1) -> Address:
        return Address(self.plan.hash, RUN, phase, round, attempt, SERVER, party)

    def hello(self, *parties: str) -> dict[str, Any]:
        return self.server.ask({party: Hello(self.header(party)) for party in parties})

    def ask(self, attempt: int = 1, cohort: tuple[str, ...] = LENDERS) -> dict[str, Any]:
        return self.server.ask(
            {p: SumRequest(self.header(p, attempt=attempt), cohort, np.zeros(0), {}) for p in cohort}
        )

    def charges(self, name: str) -> int:
        """Answers that a party has charged."""
        return self.federation.ledgers[name].state.plans[self.plan.hash].spent.total()


class TestJoining:
    def test_once_a_run_three_messages_a_party(self):
        run = Run()
        run.hello(*LENDERS)
        assert len(run.inner.log) == 4
        run.hello(*LENDERS)
        assert len(run.inner.log) == 5

    def test_an_identity_that_the_plan_does_not_name(self):
        for identity in (Identity.generate(SERVER, "server"), identities(PLAN)["lender-1"]):
            with pytest.raises(ValueError, match="another server's card"):
                SealedExchange(DirectExchange({}), PLAN, RUN, identity)
        with pytest.raises(ValueError, match="another server's card"):
            SealedExchange(DirectExchange({}), small_plan(), RUN, identities(PLAN)[SERVER])

    def test_a_party_that_is_away_is_left_out_and_comes_in_later(self):
        run = Run()
        run.inner.away.add("lender-3")
        replies = run.hello(*LENDERS)
        assert replies["lender-3"] == Failure("lender-3", "unavailable")
        assert isinstance(replies["lender-1"], Ready)
        assert all(isinstance(reply, SumAnswer) for reply in run.ask(1, LENDERS[:2]).values())
        run.inner.away.clear()
        assert all(isinstance(reply, SumAnswer) for reply in run.ask(2).values())

    @pytest.mark.parametrize("by", ["another", "the party"])
    def test_a_party_whose_certificate_another_signed_is_left_out(self, by: str):
        def forge(party: str, request: bytes, answer: bytes) -> bytes:
            if party != "lender-2" or not is_signed(request):
                return answer
            stranger = Identity.simulated(99, "lender-2", "lender")
            header = open_signed(answer, PLAN.cards, Joined).header
            return sign_message(Joined(header, PlanKeys.generate(stranger, PLAN.hash).certificate, ()), signer)

        signer = Identity.simulated(99, "lender-2", "lender") if by == "another" else identities(PLAN)["lender-2"]
        run = Run(forge)
        replies = run.hello(*LENDERS)
        assert replies["lender-2"] == Failure("lender-2", "unavailable")
        assert isinstance(replies["lender-1"], Ready)

    def test_a_clock_that_is_a_day_off_stops_everything_before_a_charge(self):
        run = Run()
        run.server._clock = lambda: 86_400.0
        refused = run.ask()
        assert {name: (refusal.header.sender, refusal.code) for name, refusal in refused.items()} == {
            name: (name, "clock") for name in LENDERS
        }
        assert [run.charges(name) for name in LENDERS] == [0, 0, 0]


class TestJoiningAgain:
    def test_a_party_that_lost_its_keys_in_the_middle(self):
        run = Run()

        def lose(row: dict[str, Any]) -> None:
            if (row["phase"], row["round"]) == (TRAIN, 2):
                run.lose_keys("lender-2")

        outcome, quiet = run.coordinate(lose)
        row = next(row for row in quiet.rows if (row["phase"], row["round"]) == (TRAIN, 3))
        assert row["failures"] == {"lender-2": "refused: not-joined"}
        assert row["cohort"] == 2
        assert quiet.rows[-1]["phase"] == EVALUATE
        assert quiet.rows[-1]["cohort"] == 3
        assert run.server._epoch == 2
        assert all(door._epoch == 2 for door in run.doors.values())
        assert np.isfinite(outcome.model.weights.vector).all()

    def test_the_attempt_that_was_lost_is_charged_and_the_sum_is_right(self):
        """The others answered the attempt in vain; the next one is over fresh masks that cancel."""
        run = Run(privacy__noise="none")
        run.hello(*LENDERS)
        run.lose_keys("lender-2")
        lost = run.ask(1)
        assert lost["lender-2"].code == "not-joined"
        assert [run.charges(name) for name in LENDERS] == [1, 0, 1]
        answers = run.ask(2)
        assert [run.charges(name) for name in LENDERS] == [2, 1, 2]
        cells = run.plan.model.grid_cells
        length = histogram_length(run.plan.groups["lender"].table.scored, cells)
        mechanism = mechanisms(run.plan).mechanism(phase_of(run.plan, BIN), length)
        shape = mechanism.shape
        total = shape.centre(np.sum([shape.unpack(a.contribution) for a in answers.values()], axis=0, dtype=np.uint64))
        records = sum(len(part.training_part()) for part in small_federation().values())
        assert total[:cells].sum() * mechanism.grid == records

    def test_an_answer_from_before_is_not_masked_again(self):
        """The stored answer goes out as it was: the same vector under two masks would tell its difference."""
        run = Run()
        before = run.ask(1)["lender-1"]
        run.lose_keys("lender-2")
        run.hello("lender-2")
        after = run.ask(1)
        assert run.server._epoch == 2
        assert after["lender-1"].contribution == before.contribution
        assert run.charges("lender-1") == 1

    def test_seeds_of_the_earlier_epoch_are_erased(self):
        run = Run()
        run.hello(*LENDERS)
        old = run.doors["lender-1"]._seeds
        run.server._stale = True
        run.hello(*LENDERS)
        assert run.doors["lender-1"]._seeds is not old
        assert not old._own
        assert not old._theirs


class TestFailures:
    @pytest.mark.parametrize("reply", [b"", b"\0" * 50, bytes(5000), b"\xff" * 2000])
    def test_rubbish_is_malformed(self, reply: bytes):
        run = Run()
        run.hello(*LENDERS)
        run.inner._spoil = lambda party, request, answer: reply if party == "lender-1" else answer
        assert run.hello(*LENDERS)["lender-1"] == Failure("lender-1", "malformed")

    def test_a_refusal_that_answers_something_else(self):
        run = Run()
        run.hello(*LENDERS)
        for changed in ({"phase": TRAIN}, {"attempt": 9}, {"run": "run-2"}, {"plan": "0" * 64}):
            header = dataclasses.replace(run.header("lender-1"), sender="lender-1", recipient=SERVER, **changed)
            raw = sign_message(Refusal(header, "not-joined"), run.members["lender-1"])
            run.inner._spoil = lambda party, request, answer, raw=raw: raw
            assert run.hello("lender-1")["lender-1"] == Failure("lender-1", "malformed")
        assert run.server._epoch == 1

    def test_a_refusal_in_the_name_of_another(self):
        run = Run()
        run.hello(*LENDERS)
        header = dataclasses.replace(run.header("lender-2"), sender="lender-2", recipient=SERVER)
        raw = sign_message(Refusal(header, "not-joined"), run.members["lender-2"])
        run.inner._spoil = lambda party, request, answer: raw
        assert run.hello("lender-1")["lender-1"] == Failure("lender-1", "malformed")

    def test_an_offer_of_an_earlier_epoch_that_comes_again(self):
        """Who replays it has one party left out, and not all that would have taken it."""
        kept: dict[str, bytes] = {}

        def replay(party: str, request: bytes, answer: bytes) -> bytes:
            if party != "lender-1" or is_signed(request):
                return answer
            return kept.setdefault("offer", answer)

        run = Run(replay)
        run.hello("lender-2")
        run.server._stale = True
        replies = run.hello("lender-2", "lender-3")
        assert all(isinstance(reply, Ready) for reply in replies.values())
        assert "lender-1" not in run.server._peers


def test_closing_destroys_the_keys():
    run = Run()
    run.hello(*LENDERS)
    run.server.close()
    assert run.server._keys._private is None


def test_masks_of_a_group_of_one():
    """A party that has no peers is not masked, and no other may be alone."""
    lone, other = MaskedSum(lone=True), MaskedSum(lone=False)
    assert not lone.ready(("lender-1",))
    assert not other.ready(("lender-1",))
