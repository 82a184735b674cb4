"""Payloads between a lender's node and a platform's: who is aligned, which labels cross, and what may not."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools

import numpy as np
import pytest
from builders import phase_of
from vertical_builders import (
    RUN,
    Wire,
    carry_out,
    federation_of,
    fresh_lifetimes,
    only,
    quiet_plan,
    vertical_plan,
    with_labels,
)

from sealscore.clients.roles.errors import Refused
from sealscore.clients.roles.pairing import Pairs
from sealscore.clients.roles.role import RoundContext
from sealscore.shared.crypto.alignment import Aligned, ExactMatching, Matching
from sealscore.shared.crypto.payloads import unpack_numbers
from sealscore.shared.crypto.psi import PrivateMatching
from sealscore.shared.dp.events import NoNoise, RandomizedResponse
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Ceilings, Limit
from sealscore.shared.messages.codec import decode, encode
from sealscore.shared.messages.messages import PairAnswer, PairRequest, Ready, Refusal, Stored, SumAnswer
from sealscore.shared.persons.consent import FEDERATION, Consent
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Purpose, StreamSource

PLAN = vertical_plan()
PRIVATE = vertical_plan(alignment__method="private")
BOTH = pytest.mark.parametrize("plan", [PLAN, PRIVATE], ids=["exact", "private"])
OUTCOME = "90 days past due|365"
LENDER, PLATFORM = "lender-1", "video-1"


def matching(plan: Plan = PLAN, lender: str = LENDER, platform: str = PLATFORM) -> Matching:
    return Pairs(plan, lender, DisclosureStore()).matching(lender, platform)


def wire(plan: Plan = PLAN, **more) -> Wire:
    """Nodes of which one lender and one platform are aligned."""
    made = Wire(plan, **more)
    made.align(LENDER, PLATFORM)
    return made


def told(made: Wire, payload: bytes, platform: str = PLATFORM, levels: int = 2) -> dict[str, int]:
    """The numbers of a payload by person."""
    aligned = made.aligned(LENDER, platform)
    return dict(zip(aligned.persons, unpack_numbers(aligned, payload, levels).tolist(), strict=True))


def training(made: Wire, party: str = LENDER) -> set[str]:
    """The training persons of a party."""
    part = made.records[party].training_part()
    return set(part.person)


class TestPairs:
    def test_an_alignment_is_kept_and_given_by_peer(self):
        pairs = Pairs(PLAN, LENDER, DisclosureStore())
        pair = Aligned.of({bytes([n]) * 16: f"p{n}" for n in range(30)}, 512)
        pairs.keep("wallet", pair)
        pairs.keep("video-1", pair)
        assert pairs["wallet"] is pair
        assert [peer for peer, _ in pairs.items()] == ["video-1", "wallet"]
        with pytest.raises(Refused, match="not-aligned"):
            pairs["video-2"]

    @pytest.mark.parametrize(("found", "what"), [(0, "no person"), (1, "1 person"), (19, "19 persons")])
    def test_of_too_small_an_overlap_the_operator_is_told_and_the_pair_is_kept(self, found: int, what: str):
        pair, said = Aligned.of({bytes([n]) * 16: f"p{n}" for n in range(found)}, 512), []
        pairs = Pairs(PLAN, LENDER, DisclosureStore(), tell=said.append)
        pairs.keep(PLATFORM, pair)
        assert pairs[PLATFORM] == pair
        (message,) = said
        assert pairs.shortfalls == said
        assert f"lender-1 shares {what} with video-1, and the plan's alignment.min_overlap is 20" in message
        assert "check that both write identifiers alike (alignment.identifier = 'exact')" in message
        assert "revoke" in message

    def test_of_an_overlap_that_is_large_enough_nothing_is_said(self):
        said: list[str] = []
        pairs = Pairs(PLAN, LENDER, DisclosureStore(), tell=said.append)
        pairs.keep(PLATFORM, Aligned.of({bytes([n]) * 16: f"p{n}" for n in range(20)}, 512))
        assert said == pairs.shortfalls == []

    def test_each_pair_and_each_plan_has_a_salt_of_its_own(self):
        other_plan = vertical_plan(seed=8)
        made = (matching(), matching(platform="wallet"), matching(lender="lender-2"), matching(other_plan))
        tokens = [m.token("p1") for m in made if isinstance(m, ExactMatching)]
        assert len(set(tokens)) == 4

    def test_a_plan_that_does_not_say_how_aligns_privately(self):
        data = PLAN.model_dump(mode="json")
        del data["alignment"]["method"]
        assert isinstance(matching(Plan.parse(data)), PrivateMatching)
        assert isinstance(matching(PRIVATE), PrivateMatching)


class TestAlign:
    @BOTH
    def test_both_sides_hold_the_same_persons_under_the_same_handles(self, plan: Plan):
        made = wire(plan)
        here, there = made.aligned(LENDER, PLATFORM), made.aligned(PLATFORM, LENDER)
        assert here == there
        assert set(here.persons) == set(made.records[LENDER].person) & set(made.records[PLATFORM].person)
        assert not made.charged

    @BOTH
    def test_steps_only_in_their_order_and_by_whom_they_are(self, plan: Plan):
        made = Wire(plan)
        assert made.code(Kind.ALIGN, LENDER, PLATFORM, 3, b"") == "out-of-order"
        assert made.code(Kind.ALIGN, PLATFORM, LENDER, 4, b"") == "out-of-order"
        assert made.code(Kind.ALIGN, LENDER, PLATFORM, 2, b"") == "no-such-step"
        assert made.code(Kind.ALIGN, PLATFORM, LENDER, 1, b"") == "no-such-step"
        assert made.code(Kind.ALIGN, LENDER, PLATFORM, 5, b"") == "no-such-round"
        assert made.code(Kind.ALIGN, LENDER, PLATFORM, 1, b"a body") == "malformed"

    def test_only_with_a_peer_of_the_other_side_that_the_plan_has(self):
        made = Wire(PLAN)
        for peer in ("lender-2", "lender-1", "stranger"):
            header = made.header(Kind.ALIGN, "video", 1, LENDER)
            reply = decode(made.nodes[LENDER].answer(encode(PairRequest(header, peer, b"", {}))), PairAnswer, Refusal)
            assert isinstance(reply, Refusal)
            assert reply.code == "no-such-pair"

    def test_no_payload_without_an_alignment(self):
        made = Wire(PLAN)
        assert made.code(Kind.LABELS, LENDER, PLATFORM, 1) == "not-aligned"
        assert made.code(Kind.LABELS, PLATFORM, LENDER, 2, bytes(96)) == "not-aligned"
        assert not made.charged

    def test_asking_again_gives_the_same_bytes(self):
        made = Wire(PLAN)
        first = made.give(Kind.ALIGN, LENDER, PLATFORM, 1)
        assert made.give(Kind.ALIGN, LENDER, PLATFORM, 1) == first
        assert made.give(Kind.ALIGN, LENDER, PLATFORM, 1, attempt=2) == first

    def test_asking_again_privately_gives_the_same_bytes_and_a_new_request_has_a_fresh_key(self):
        made = Wire(PRIVATE)
        first = made.give(Kind.ALIGN, LENDER, PLATFORM, 1)
        assert made.give(Kind.ALIGN, LENDER, PLATFORM, 1) == first
        second = made.give(Kind.ALIGN, LENDER, PLATFORM, 1, attempt=2)
        assert len(second) == len(first)
        assert not set(_points(second)) & set(_points(first))
        # Whoever goes on, goes on with the later one.
        response = made.give(Kind.ALIGN, PLATFORM, LENDER, 2, second)
        handles = made.give(Kind.ALIGN, LENDER, PLATFORM, 3, response)
        assert made.give(Kind.ALIGN, LENDER, PLATFORM, 3, response) == handles
        made.give(Kind.ALIGN, PLATFORM, LENDER, 4, handles)
        assert made.aligned(LENDER, PLATFORM) == made.aligned(PLATFORM, LENDER)

    @BOTH
    def test_a_request_serves_one_response(self, plan: Plan):
        made = Wire(plan)
        response = made.give(Kind.ALIGN, PLATFORM, LENDER, 2, made.give(Kind.ALIGN, LENDER, PLATFORM, 1))
        handles = made.give(Kind.ALIGN, LENDER, PLATFORM, 3, response)
        assert made.code(Kind.ALIGN, LENDER, PLATFORM, 3, response, attempt=2) == "out-of-order"
        made.give(Kind.ALIGN, PLATFORM, LENDER, 4, handles)
        assert made.code(Kind.ALIGN, PLATFORM, LENDER, 4, handles, attempt=2) == "out-of-order"

    @BOTH
    def test_a_platform_answers_one_request_of_a_lender_in_a_run(self, plan: Plan):
        """With more, a lender and a server together could try all the ids that they can think of."""
        made = Wire(plan)
        request = made.give(Kind.ALIGN, LENDER, PLATFORM, 1)
        response = made.give(Kind.ALIGN, PLATFORM, LENDER, 2, request)
        assert made.give(Kind.ALIGN, PLATFORM, LENDER, 2, request) == response
        assert made.code(Kind.ALIGN, PLATFORM, LENDER, 2, request, attempt=2) == "attempts-spent"

    @BOTH
    def test_a_message_that_failed_fails_alike_when_it_is_sent_again(self, plan: Plan):
        made = Wire(plan)
        response = made.give(Kind.ALIGN, PLATFORM, LENDER, 2, made.give(Kind.ALIGN, LENDER, PLATFORM, 1))
        asked = [made.code(Kind.ALIGN, LENDER, PLATFORM, 3, response[1:]) for _ in range(3)]
        taken = [made.code(Kind.ALIGN, PLATFORM, LENDER, 4, b"no handles") for _ in range(3)]
        assert asked == taken == ["unavailable"] * 3
        assert len(made.told) == 2
        # Another message finds that the one chance is gone.
        assert made.code(Kind.ALIGN, LENDER, PLATFORM, 3, response) == "out-of-order"

    @pytest.mark.parametrize(
        ("plan", "expected"),
        [(PLAN, (32 + 16 * 512, 64, 16 * 512)), (PRIVATE, (32 + 33 * 512, 33 * (512 + 512), (4 + 16) * 512))],
        ids=["exact", "private"],
    )
    def test_sizes_are_the_plans_for_two_lenders_of_which_one_is_nearly_empty(self, plan: Plan, expected: tuple):
        records = federation_of(plan)
        few = records | {"lender-2": records["lender-2"].take(np.arange(40))}
        made = Wire(plan, few)
        sizes = set()
        for lender in ("lender-1", "lender-2"):
            request = made.give(Kind.ALIGN, lender, PLATFORM, 1)
            response = made.give(Kind.ALIGN, PLATFORM, lender, 2, request)
            sizes.add((len(request), len(response), len(made.give(Kind.ALIGN, lender, PLATFORM, 3, response))))
        assert sizes == {expected}


class TestSmallPairs:
    """How many persons two parties share shows to nobody but them, and takes nobody else out of a sum."""

    ONE = only(vertical_plan(), LENDER, "wallet")

    def records(self, shared: int, plan: Plan) -> dict[str, Records]:
        """The records of both, with so many persons whom both know; all others of the lender are at no platform."""
        held = federation_of(plan)
        here, known = held[LENDER], set(held["wallet"].person)
        both = [person for person in here.person if person in known][:shared]
        person = tuple(one if one in both else f"x{one}" for one in here.person)
        return held | {LENDER: dataclasses.replace(here, person=person)}

    @pytest.mark.parametrize("again", [False, True], ids=["at once", "started anew between phases"])
    @pytest.mark.parametrize("method", ["exact", "private"])
    def test_a_whole_run_of_a_pair_that_shares_nobody_looks_like_any_other(self, method: str, again: bool):
        plan = self.ONE.replace(alignment__method=method)
        seen = []
        for shared in (0, 19, 100):
            wire, sizes, phase = Wire(plan, self.records(shared, plan)), [], ""

            def spoil(party, request, answer, wire=wire, sizes=sizes):
                nonlocal phase
                message = decode(answer, Ready, Stored, SumAnswer, PairAnswer, Refusal)
                assert not isinstance(message, Refusal), (message.code, wire.told)
                sizes.append((party, type(message).__name__, message.header.phase, message.header.round, len(answer)))
                return answer

            if not again:
                carry_out(wire, spoil)
            else:
                self.in_pieces(wire, sizes)
            seen.append([sizes, [wire.nodes[name].plan_ledger.ledger.head.seq for name in (LENDER, "wallet")]])
            told = [words for words in wire.told if "min_overlap" in words]
            # Both operators know, and both of them only; a node that is started anew does not say it again.
            assert len(told) == (2 if shared < 20 else 0), wire.told
        assert seen[0] == seen[1] == seen[2]

    @staticmethod
    def in_pieces(wire: Wire, sizes: list) -> None:
        """The paired phases and the first sums, with new nodes on the same registers and ledgers after each."""
        parts = wire.tower("wallet")

        def anew() -> Wire:
            made = Wire(wire.plan, wire.records, wire.lifetimes)
            made.told = wire.told
            return made

        wire.align(LENDER, "wallet")
        told = ("wallet", LENDER)
        for kind, order in ((Kind.LABELS, told[::-1]), (Kind.SIGNAL, told), (Kind.GROUPS, told)):
            made, body = anew(), b""
            for step, party in enumerate(order, start=1):
                peer = next(other for other in order if other != party)
                named = made.publish("wallet", **parts) if (kind, step) == (Kind.SIGNAL, 1) else {}
                body = made.give(kind, party, peer, step, body, parts=named)
                sizes.append((kind, step, len(body)))
        made = anew()
        role = made.nodes[LENDER].role
        assert set(role._levels) == set(role._told_bands) == {"wallet"}
        assert set(made.nodes["wallet"].role._bits) == {LENDER}
        phase = phase_of(made.plan, "bin:lender")
        assert role.sum(phase, np.zeros(0), {})

    def test_at_the_minimum_one_person_more_moves_a_sum_by_that_person(self):
        """Were small pairs left out of sums, one person would bring in a whole pair, and no noise be wide enough."""
        plan = only(quiet_plan(), LENDER, "wallet")
        counts = []
        for shared in (18, 19, 20):
            wire = Wire(plan, self.records(shared, plan))
            wire.align(LENDER, "wallet")
            compute, mechanism = wire.nodes["wallet"].role.sum(phase_of(plan, "bin:wallet"), np.zeros(0), {})
            header = wire.header(Kind.BIN, "wallet", 1, "wallet")
            vector = compute(RoundContext(StreamSource.seeded(1, "wallet"), header.reply(), mechanism, 1))
            counts.append(vector * mechanism.grid)
        features = len(plan.groups["wallet"].table.scored)
        for fewer, more in itertools.pairwise(counts):
            assert np.abs(more - fewer).sum() <= features


class TestConsent:
    """Half of the persons of a side consent to the pair; the rest must not be found, whatever the peer sends."""

    @staticmethod
    def consenting(records, party: str, peer: str):
        """The party's records, with odd persons' consent for the peer and even ones' for others only; all to sums."""
        part, sums = records[party], Consent(FEDERATION)
        named = tuple((sums, Consent(peer if int(person[1:]) % 2 else "somebody-else")) for person in part.person)
        return records | {party: dataclasses.replace(part, consent=named)}

    @BOTH
    @pytest.mark.parametrize(("party", "peer"), [(LENDER, PLATFORM), (PLATFORM, LENDER)])
    def test_only_persons_who_consented_are_aligned(self, plan: Plan, party: str, peer: str):
        made = wire(plan, records=self.consenting(federation_of(plan), party, peer))
        persons = made.aligned(LENDER, PLATFORM).persons
        assert len(persons) > 50
        assert all(int(person[1:]) % 2 for person in persons)

    def test_who_did_not_consent_is_not_even_in_a_lenders_request(self):
        made = Wire(PLAN, self.consenting(federation_of(PLAN), LENDER, PLATFORM))
        request = made.give(Kind.ALIGN, LENDER, PLATFORM, 1)
        tokens = {matching().token(person): person for person in made.records[LENDER].person}
        sent = {token: person for token, person in tokens.items() if token in request}
        assert sent
        assert all(int(person[1:]) % 2 for person in sent.values())

    def test_nor_in_a_private_one(self):
        """Of what the lender encrypts, only who consented stands for a person: a platform that knows all finds them."""
        made = Wire(PRIVATE, self.consenting(federation_of(PRIVATE), LENDER, PLATFORM))
        everybody = sorted(set(made.records[LENDER].person))
        answering = matching(PRIVATE).answer(made.give(Kind.ALIGN, LENDER, PLATFORM, 1), everybody, _filler())
        made.give(Kind.ALIGN, LENDER, PLATFORM, 3, answering.response)
        assert set(made.aligned(LENDER, PLATFORM).persons) == {p for p in everybody if int(p[1:]) % 2}

    def test_a_crafted_request_for_others_gets_no_bit_and_no_signal(self):
        """A dishonest lender asks for every creator that it can think of: those who did not consent are unknown."""
        made = Wire(PLAN, self.consenting(federation_of(PLAN), PLATFORM, LENDER))
        everybody = [f"p{n:05d}" for n in range(512)]
        tokens = {matching().token(person): person for person in everybody}
        request = matching().ask(everybody, _filler()).request
        response = made.give(Kind.ALIGN, PLATFORM, LENDER, 2, request)
        known = np.unpackbits(np.frombuffer(response, dtype=np.uint8)).astype(bool)
        body = request[32:]
        order = [tokens[body[i : i + 16]] for i in range(0, len(body), 16)]
        found = {person for person, there in zip(order, known, strict=True) if there}
        there = {person for person in made.records[PLATFORM].person if person in set(everybody)}
        assert found == {person for person in there if int(person[1:]) % 2}
        # Handles for all of them change nothing: a signal is made for the persons whom the platform found.
        made.give(Kind.ALIGN, PLATFORM, LENDER, 4, b"".join(hashlib.sha256(t).digest()[:16] for t in sorted(tokens)))
        assert set(made.aligned(PLATFORM, LENDER).persons) == found
        assert isinstance(made.signal(PLATFORM, LENDER), PairAnswer)
        disclosed = made.lifetimes[PLATFORM].disclosed
        assert disclosed.bits("signal", found) == 3
        assert disclosed.bits("signal", there - found) == 0

    def test_nor_does_a_crafted_private_request(self):
        made = Wire(PRIVATE, self.consenting(federation_of(PRIVATE), PLATFORM, LENDER))
        everybody = [f"p{n:05d}" for n in range(512)]
        asking = matching(PRIVATE).ask(everybody, _filler())
        response = made.give(Kind.ALIGN, PLATFORM, LENDER, 2, asking.request)
        message, aligned = asking.handles(response, _filler())
        there = {person for person in made.records[PLATFORM].person if person in set(everybody)}
        found = {person for person in there if int(person[1:]) % 2}
        assert set(aligned.persons) == found
        made.give(Kind.ALIGN, PLATFORM, LENDER, 4, message)
        assert set(made.aligned(PLATFORM, LENDER).persons) == found
        assert isinstance(made.signal(PLATFORM, LENDER), PairAnswer)
        disclosed = made.lifetimes[PLATFORM].disclosed
        assert disclosed.bits("signal", found) == 3
        assert disclosed.bits("signal", there - found) == 0

    def test_a_private_message_that_names_every_place_names_nobody(self):
        made = Wire(PRIVATE, self.consenting(federation_of(PRIVATE), PLATFORM, LENDER))
        everybody = [f"p{n:05d}" for n in range(512)]
        made.give(Kind.ALIGN, PLATFORM, LENDER, 2, matching(PRIVATE).ask(everybody, _filler()).request)
        handles = (hashlib.sha256(str(place).encode()).digest()[:16] for place in range(512))
        crafted = b"".join(place.to_bytes(4, "big") + handle for place, handle in enumerate(handles))
        made.give(Kind.ALIGN, PLATFORM, LENDER, 4, crafted)
        assert "filling" in made.told[0]
        assert set(made.aligned(PLATFORM, LENDER).persons) == {""}
        # What is told under those handles is made up, and of nobody.
        assert isinstance(made.signal(PLATFORM, LENDER), PairAnswer)
        assert made.lifetimes[PLATFORM].disclosed.bits("signal", made.records[PLATFORM].person) == 0

    def test_a_person_with_a_record_that_is_withheld_is_withheld(self):
        part = federation_of(PLAN)[LENDER]
        double = dataclasses.replace(
            part.take(np.array([0, 0, 1])),
            consent=((Consent(PLATFORM),), (Consent("wallet"),), (Consent(PLATFORM), Consent("wallet"))),
        )
        assert double.consenting(PLATFORM, PLAN.purpose_code) == (double.person[2],)
        assert double.consenting("wallet", PLAN.purpose_code) == (double.person[2],)


def _points(request: bytes) -> list[bytes]:
    """The entries of a private request."""
    return [request[at : at + 33] for at in range(32, len(request), 33)]


def _filler():
    return StreamSource.seeded(3, "x").stream(RUN, "align", 1, 0, "x", Purpose.FILLER)


class TestLabels:
    def test_one_bit_for_each_aligned_training_person(self):
        made = wire(quiet_plan())
        bits = told(made, made.labels(LENDER, PLATFORM))
        part = made.records[LENDER]
        truth = dict(zip(part.person, part.label.tolist(), strict=True))
        assert all(bits[person] == truth[person] for person in bits if person in training(made))
        assert len(bits) == len(made.aligned(LENDER, PLATFORM).persons)

    def test_bits_are_those_of_the_store_and_are_charged_once(self):
        made = wire()
        bits = told(made, made.labels(LENDER, PLATFORM))
        part = made.records[LENDER].training_part()
        persons = [person for person in part.person if person in bits]
        stored = made.lifetimes[LENDER].labels.release(persons, np.zeros(len(persons)), OUTCOME, 1.0)
        assert stored.fresh == 0
        assert [bits[person] for person in persons] == stored.bits.tolist()
        assert made.events(LENDER) == [RandomizedResponse(epsilon=1.0, count=1)]
        # Noisy: about 27 of 100 are turned, and which ones follows from no plan.
        truth = dict(zip(part.person, part.label.tolist(), strict=True))
        turned = np.mean([bits[person] != truth[person] for person in persons])
        assert 0.15 < turned < 0.4

    def test_the_same_request_and_a_new_one_get_the_same_bytes_uncharged(self):
        made = wire()
        first = made.labels(LENDER, PLATFORM)
        assert made.labels(LENDER, PLATFORM) == first
        assert made.labels(LENDER, PLATFORM, attempt=2) == first
        assert len(made.charged) == 1

    def test_a_new_run_with_new_secrets_gets_the_same_bits_uncharged(self):
        made = wire()
        first = told(made, made.labels(LENDER, PLATFORM))
        again = wire(vertical_plan(seed=99), lifetimes=made.lifetimes, run="run-2")
        second = told(again, again.labels(LENDER, PLATFORM))
        assert again.aligned(LENDER, PLATFORM).digest != made.aligned(LENDER, PLATFORM).digest
        assert {p: first[p] for p in training(made) & first.keys()} == {
            p: second[p] for p in training(made) & second.keys()
        }
        assert not again.charged

    def test_another_plan_of_the_same_outcome_and_epsilon_too(self):
        made = wire()
        first = told(made, made.labels(LENDER, PLATFORM))
        other = wire(vertical_plan(seed=8, training__rounds=5), lifetimes=made.lifetimes)
        second = told(other, other.labels(LENDER, PLATFORM))
        assert all(first[person] == second[person] for person in training(made) & first.keys())
        assert not other.charged

    def test_all_platforms_get_the_same_coin_and_only_new_persons_are_charged(self):
        made = wire()
        made.align(LENDER, "video-2")
        first = told(made, made.labels(LENDER, PLATFORM))
        second = told(made, made.labels(LENDER, "video-2"), "video-2")
        both = first.keys() & second.keys() & training(made)
        assert len(both) > 50
        assert all(first[person] == second[person] for person in both)
        assert len(made.charged) == 2  # some persons are on the second platform only

    @pytest.mark.parametrize(
        "change",
        [{"privacy__label_epsilon": 1.5}, {"outcome__definition": "60 days past due"}, {"outcome__window_days": 180}],
        ids=["epsilon", "definition", "window"],
    )
    def test_another_epsilon_or_outcome_is_a_fresh_release_and_charged(self, change):
        made = wire()
        first = told(made, made.labels(LENDER, PLATFORM))
        other = wire(vertical_plan(**change), lifetimes=made.lifetimes)
        second = told(other, other.labels(LENDER, PLATFORM))
        epsilon = change.get("privacy__label_epsilon", 1.0)
        assert other.events(LENDER) == [RandomizedResponse(epsilon=epsilon, count=1)]
        assert any(first[person] != second[person] for person in training(made) & first.keys())

    def test_above_the_ceiling_of_labels_nothing_is_released_and_nothing_marked(self):
        made = wire()
        ledger = made.nodes[LENDER].plan_ledger.ledger
        ledger.append(lambda state: Limit(ceilings=Ceilings(epsilon=None, delta=1e-5, label_epsilon=0.5), why="-"))
        assert made.code(Kind.LABELS, LENDER, PLATFORM, 1) == "budget"
        assert made.lifetimes[LENDER].disclosure_store.values("label", f"{OUTCOME}|{(1.0).hex()}") == {}
        assert not made.charged
        ledger.append(lambda state: Limit(ceilings=Ceilings(epsilon=None, delta=1e-5, label_epsilon=1.0), why="-"))
        made.labels(LENDER, PLATFORM, attempt=2)
        assert made.events(LENDER) == [RandomizedResponse(epsilon=1.0, count=1)]

    def test_where_the_ledger_cannot_be_written_nothing_leaves_and_the_next_one_is_charged(self):
        """What is marked and was never charged is charged when it is asked again, and has the same bits."""
        made = wire()
        made.refuse.add(LENDER)
        persons = set(made.aligned(LENDER, PLATFORM).persons)
        assert made.code(Kind.LABELS, LENDER, PLATFORM, 1) == "budget"
        assert not made.charged
        marked = dict(made.lifetimes[LENDER].disclosure_store.values("label", f"{OUTCOME}|{(1.0).hex()}"))
        assert marked.keys() == persons
        made.refuse.clear()
        bits = told(made, made.labels(LENDER, PLATFORM, attempt=2))
        assert {person: bits[person] for person in persons} == marked
        assert made.events(LENDER) == [RandomizedResponse(epsilon=1.0, count=1)]
        (entry,) = (e for e in made.disclosures(LENDER) if isinstance(e.event, RandomizedResponse))
        assert entry.fresh == len(persons)

    def test_a_later_correction_of_a_label_is_not_sent(self):
        made = wire()
        first = told(made, made.labels(LENDER, PLATFORM))
        turned = made.records | {LENDER: with_labels(made.records[LENDER], lambda label: 1 - label)}
        # Started anew on the corrected data, the node is still aligned.
        again = Wire(PLAN, turned, lifetimes=made.lifetimes)
        assert told(again, again.labels(LENDER, PLATFORM, attempt=2)) == first
        assert not again.charged

    def test_a_person_with_a_bad_record_is_bad(self):
        plan = quiet_plan(privacy__max_records_per_person=2)
        records = federation_of(plan)
        part = records[LENDER]
        both = part.take(np.repeat(np.arange(len(part)), 2))
        label = both.label.copy()
        label[1::2] = 0  # the second record of each person is good
        made = wire(plan, records=records | {LENDER: dataclasses.replace(both, label=label)})
        bits = told(made, made.labels(LENDER, PLATFORM))
        truth = dict(zip(part.person, part.label.tolist(), strict=True))
        assert all(bits[person] == truth[person] for person in bits.keys() & training(made))

    def test_without_an_epsilon_the_release_is_charged_as_one_without_noise(self):
        made = wire(quiet_plan())
        made.labels(LENDER, PLATFORM)
        assert made.events(LENDER) == [NoNoise(count=1, what="release_labels:video")]


class TestContentIndependence:
    """Of two data sets that differ in labels only, every message has the same size, order and handles."""

    def traffic(self, change, plan: Plan = PLAN) -> tuple[Wire, list[bytes], bytes]:
        records = federation_of(plan)
        records[LENDER] = with_labels(records[LENDER], change)
        made = Wire(plan, records)
        bodies, body = [], b""
        for step, (party, peer) in enumerate([(LENDER, PLATFORM), (PLATFORM, LENDER)] * 2, start=1):
            body = made.give(Kind.ALIGN, party, peer, step, body)
            bodies.append(body)
        return made, bodies, made.labels(LENDER, PLATFORM)

    @pytest.mark.parametrize(
        "change",
        [lambda label: 1 - label, lambda label: label * 0, lambda label: label * 0 + 1, np.roll],
        ids=["turned", "all good", "all bad", "moved"],
    )
    def test_labels_change_bits_of_training_persons_and_nothing_else(self, change):
        plain, plain_bodies, plain_labels = self.traffic(lambda label: label)
        other, other_bodies, other_labels = self.traffic(
            (lambda label: np.roll(label, 1)) if change is np.roll else change
        )
        assert other_bodies == plain_bodies
        assert len(other_labels) == len(plain_labels)
        assert other.aligned(LENDER, PLATFORM) == plain.aligned(LENDER, PLATFORM)
        one, two = told(plain, plain_labels), told(other, other_labels)
        assert all(one[person] == two[person] for person in one.keys() - training(plain))
        assert len(plain.charged) == len(other.charged) == 1
        assert one != two

    def test_nor_under_private_alignment_but_for_its_fresh_keys(self):
        plain, plain_bodies, plain_labels = self.traffic(lambda label: label, PRIVATE)
        other, other_bodies, other_labels = self.traffic(lambda label: 1 - label, PRIVATE)
        assert [len(body) for body in other_bodies] == [len(body) for body in plain_bodies]
        assert len(other_labels) == len(plain_labels)
        assert other.aligned(LENDER, PLATFORM) == plain.aligned(LENDER, PLATFORM)
        one, two = told(plain, plain_labels), told(other, other_labels)
        assert all(one[person] == two[person] for person in one.keys() - training(plain))
        assert len(plain.charged) == len(other.charged) == 1
        assert one != two

    def test_labels_of_test_persons_change_not_one_byte(self):
        """What stands in the place of a test person is filling, which depends on no label."""
        test = federation_of(PLAN)[LENDER].test
        _, plain_bodies, plain_labels = self.traffic(lambda label: label)
        _, other_bodies, other_labels = self.traffic(lambda label: np.where(test, 1 - label, label))
        assert (other_bodies, other_labels) == (plain_bodies, plain_labels)

    def test_nor_does_a_payload_under_private_alignment(self):
        test = federation_of(PRIVATE)[LENDER].test
        _, plain_bodies, plain_labels = self.traffic(lambda label: label, PRIVATE)
        _, other_bodies, other_labels = self.traffic(lambda label: np.where(test, 1 - label, label), PRIVATE)
        assert [len(body) for body in other_bodies] == [len(body) for body in plain_bodies]
        assert other_labels == plain_labels


class TestGroups:
    """The platform tells bands of test persons' protected attributes; in the place of training persons is filling."""

    def told(self, made: Wire) -> dict[str, int]:
        payload = made.give(Kind.GROUPS, "wallet", LENDER, 1)
        return told(made, payload, "wallet", levels=3)

    @staticmethod
    def wire(plan: Plan = PLAN, **more) -> Wire:
        made = Wire(plan, **more)
        made.align(LENDER, "wallet")
        return made

    def test_test_persons_bands_as_they_are(self):
        made = self.wire()
        wallet = made.records["wallet"]
        region = dict(zip(wallet.person, wallet.columns["region"].tolist(), strict=True))
        found = self.told(made)
        test = found.keys() - training(made, "wallet")
        assert len(test) > 20
        assert all(found[person] == region[person] for person in test)
        (event,) = made.events("wallet")
        assert (event.kind, event.bits, event.recipient) == ("disclosure", 2, LENDER)

    def test_training_persons_attributes_change_not_one_byte(self):
        records = federation_of(PLAN)
        wallet = records["wallet"]
        region = wallet.columns["region"]
        payloads = []
        for column in (region, np.where(wallet.test, region, 1 - region)):
            changed = dataclasses.replace(wallet, columns={**wallet.columns, "region": column})
            made = self.wire(records=records | {"wallet": changed})
            payloads.append(made.give(Kind.GROUPS, "wallet", LENDER, 1))
        assert payloads[0] == payloads[1]

    def test_in_the_place_of_training_persons_is_uniform_filling(self):
        everything = [self.told(self.wire(run=f"run-{n}", seed=n)) for n in range(8)]
        levels = [found[p] for found in everything for p in found.keys() & training(self.wire(), "wallet")]
        shares = np.bincount(levels, minlength=3) / len(levels)
        assert np.abs(shares - 1 / 3).max() < 5 / np.sqrt(len(levels))

    def test_a_lender_keeps_bands_of_its_test_persons_only(self):
        made = self.wire()
        made.give(Kind.GROUPS, LENDER, "wallet", 2, made.give(Kind.GROUPS, "wallet", LENDER, 1))
        kept = made.nodes[LENDER].role._bands_told("region")
        assert kept.keys() == set(made.aligned(LENDER, "wallet").persons) - training(made)

    def test_other_bands_are_another_disclosure_and_need_bits_of_their_own(self):
        made = self.wire()
        first = self.told(made)
        data = PLAN.model_dump(mode="json")
        data["groups"]["wallet"]["table"]["features"][2]["levels"] = ["inland", "coast"]
        other = self.wire(Plan.parse(data), lifetimes=made.lifetimes)
        region = dict(
            zip(other.records["wallet"].person, other.records["wallet"].columns["region"].tolist(), strict=True)
        )
        test = first.keys() - training(made, "wallet")
        second = self.told(other)
        # What stands there now are fills: as often right as chance is.
        assert abs(np.mean([second[person] == region[person] for person in test]) - 1 / 3) < 5 * np.sqrt(
            2 / 9 / len(test)
        )
        assert any("may ever be disclosed" in words and "(groups)" in words for words in other.told)
        assert made.lifetimes["wallet"].disclosed.bits("groups", test) == 2
        same = self.wire(vertical_plan(seed=8), lifetimes=made.lifetimes)
        assert self.told(same) == first

    def test_who_was_a_training_person_keeps_the_fill_and_who_was_a_test_person_the_band(self):
        """Whoever changes sides between two plans: the lender gets the very same number, and nothing is told anew."""
        made = self.wire()
        first = self.told(made)
        turned = {party: dataclasses.replace(part, test=~part.test) for party, part in made.records.items()}
        again = self.wire(vertical_plan(seed=8), records=turned, lifetimes=made.lifetimes)
        assert self.told(again) == first
        assert again.disclosures("wallet")[-1].fresh == 0

    def test_a_platform_without_such_attributes_has_no_such_phase(self):
        made = wire()
        assert made.code(Kind.GROUPS, PLATFORM, LENDER, 1) == "unknown-phase"


class TestFreshness:
    def test_two_lenders_keep_two_secrets(self):
        """Of a person at two lenders, two labels are out, each with a coin of its own: they compose."""
        plan = vertical_plan()
        lifetimes = fresh_lifetimes(plan)
        persons = [f"p{n}" for n in range(300)]
        one, two = (
            lifetimes[lender].labels.release(persons, np.zeros(300, dtype=np.int8), OUTCOME, 1.0).bits
            for lender in ("lender-1", "lender-2")
        )
        assert abs(np.corrcoef(one, two)[0, 1]) < 0.25
