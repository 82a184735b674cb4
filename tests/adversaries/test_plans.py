"""A server that shows one plan to some parties and another to the rest: the two halves share nothing.

Both plans name the very same cards, so nothing here is refused for a wrong signature: what tells the halves apart is
the plan's hash alone, in requests, offers of seeds and masks. Certificates are in the tests of a node's door.
"""

from __future__ import annotations

import numpy as np
import pytest
from builders import BIN, LENDERS, RUN, small_federation, small_plan
from defences import Defences, Scene

from sealscore.shared.crypto.aggregation import MaskedSum, PlainSum, SumShape
from sealscore.shared.crypto.sealing import PlanKeys, open_signed, peer_key
from sealscore.shared.crypto.seeds import OfferError, Seeds, split_offer
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Refusal, SumAnswer
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.simulations.engine.enrolment import enrolled, identities

ONE, OTHER = (enrolled(small_plan(model__grid_cells=cells)) for cells in (64, 128))
PAIR = LENDERS[:2]


@pytest.fixture
def halves(defences: Defences) -> tuple[Scene, Scene]:
    """Both plans under way, with the same people and the same identities."""
    assert ONE.hash != OTHER.hash
    assert ONE.cards == OTHER.cards
    one, other = (defences.scene(plan, small_federation()) for plan in (ONE, OTHER))
    for scene in (one, other):
        assert isinstance(scene.ask(BIN, LENDERS, parties=["lender-1"])["lender-1"], SumAnswer)
    return one, other


def refusal(scene: Scene, raw: bytes) -> str:
    """The code with which lender-1 refuses what is brought to it, for nothing."""
    before = len(scene.charged["lender-1"])
    code = open_signed(scene.doors["lender-1"].answer(raw), scene.plan.cards, Refusal).code
    assert len(scene.charged["lender-1"]) == before
    return code


def test_a_sealed_request_is_of_one_plan(halves: tuple[Scene, Scene]):
    one, other = halves
    assert refusal(one, other.wire.log[-1]["lender-1"]) == "seal"


def test_a_join_is_of_one_plan(halves: tuple[Scene, Scene]):
    one, other = halves
    assert refusal(one, other.wire.log[0]["lender-1"]) == "other-plan"


def seeds_under(plan: Plan) -> dict[str, Seeds]:
    """Seeds of two lenders under a plan, that have not been exchanged."""
    members = identities(plan)
    keys = {name: PlanKeys.generate(members[name], plan.hash) for name in PAIR}
    peers = {name: peer_key(keys[name].certificate, plan.cards[name], plan.hash) for name in PAIR}
    return {name: Seeds(members[name], keys[name], RUN, 1, plan.cards, peers) for name in PAIR}


def exchange(one: Seeds, other: Seeds) -> None:
    """Each takes what the other offered to it."""
    for taker, giver in ((one, other), (other, one)):
        taker.accept(split_offer(giver.offer)[2][taker.name])


def test_an_offer_of_seeds_is_of_one_plan():
    here, there = seeds_under(ONE), seeds_under(OTHER)
    with pytest.raises(OfferError, match="another plan"):
        here["lender-1"].accept(split_offer(there["lender-2"].offer)[2]["lender-1"])
    # Teeth: of the plan itself the offer is taken.
    exchange(here["lender-1"], here["lender-2"])


def test_a_mask_is_of_one_plan():
    """Should two parties ever hold the same seeds under two plans, their masks would not cancel."""
    made = seeds_under(ONE)
    exchange(made["lender-1"], made["lender-2"])
    shape, zeros = SumShape(2000, 2**28, 3), np.zeros(2000, dtype=np.int64)

    def total(*plans: str) -> np.ndarray:
        """What the masks of both leave, each under the plan that it was shown."""
        sent = {}
        for name, plan in zip(PAIR, plans, strict=True):
            made[name].plan = plan
            sent[name] = MaskedSum(made[name]).protect(Address(plan, RUN, BIN, 1, 1, name, SERVER), PAIR, shape, zeros)
        return PlainSum().total(PAIR, shape, sent)

    assert not total(ONE.hash, ONE.hash).any()
    assert np.count_nonzero(total(ONE.hash, OTHER.hash)) > 1990
