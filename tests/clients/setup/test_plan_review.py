"""What an operator is told of a plan before it is approved, and what is in the way."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from counted_loans import counts_plan
from homes import BUNDLE, Town, deployable
from rehearsal import PARTIES, identity_of, rehearsal_plan

from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.setup.config import DataSection
from sealscore.clients.setup.plan_review import PlanReview, review
from sealscore.server.setup.plan_making import with_cards
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.text.foreign import grouped


def look(town: Town, plan: Plan | None = None, today: date | None = None, **trusted: Card) -> PlanReview:
    home, ledger = town["lender-1"], town.ledger("lender-1")
    try:
        cards = home.trust().cards | trusted
        return review(plan or town.plan, home.identity().card, cards, ledger.state, home.config().data, today=today)
    finally:
        ledger.close()


def words(seen: PlanReview) -> dict[str, str]:
    return dict(seen.lines)


def test_a_plan_is_told_in_words(town: Town):
    seen = look(town)
    assert seen.obstacles == ()
    assert (seen.state, seen.party) == ("not approved", "lender-1")
    told = words(seen)
    assert (told["plan"], told["hash"]) == ("small", grouped(town.plan.hash))
    assert told["purpose"] == "a plan for tests (credit-scoring)"
    assert told["parties"] == "lender (lenders): lender-1, lender-2, lender-3"
    assert told["outcome"] == "90 days past due; watched for 365 days, until 2020-01-01"
    assert told["app bundle"] == grouped(str(town.plan.bundle))
    assert "for a person, whatever the server does" in told["cost"]
    assert told["rests on"] == "at most 0 of the 3 lender parties collude with the server"
    assert told["spent"].startswith("epsilon 0 of 10 over the life of the data set, with all that peers may have")
    assert told["committed"] == "epsilon 0 if every live plan uses all of its budget"


def test_what_the_plan_cannot_give_is_told(town: Town):
    assert "warning" not in words(look(town))
    assert "delta" in words(look(town, town.signed(privacy__delta=1e-3)))["warning"]


def test_the_cost_is_the_plans_claim(town: Town):
    plan = town.signed(privacy__epsilon=1.0)
    cost, left = words(look(town, plan))["cost"], words(look(town, plan))["with this plan"]
    figure = float(cost.split("epsilon ")[1].split()[0])
    assert 0.9 < figure <= 1.0
    assert f"by a factor of {2.718281828**figure:.2f}"[:-1] in cost
    assert left == f"epsilon {figure:.3g} of 10 at most"


def test_an_approved_plan_is_committed_and_not_counted_twice(town: Town):
    ledger = town.ledger("lender-1")
    approve(ledger, town.plan)
    ledger.close()
    told = words(look(town))
    assert look(town).state == "live"
    assert "with this plan" not in told
    assert float(told["committed"].split()[1]) > 5


class TestObstacles:
    def found(self, town: Town, plan: Plan | None = None, **more: Any) -> str:
        return "\n".join(look(town, plan, **more).obstacles)

    def test_what_exceeds_the_ceilings(self, town: Town):
        found = self.found(town, town.signed(privacy__epsilon=10.0, privacy__delta=1e-4))
        assert "the data set's epsilon ceiling" in found
        assert "ceiling 10; to raise it" in found

    def test_what_no_noise_can_hold(self, town: Town):
        plan = town.plan.replace(privacy__epsilon=20.0)
        assert "raise delta or lower epsilon" in self.found(town, plan)
        assert "cost" not in words(look(town, plan))
        with pytest.raises(PlanError, match="raise delta or lower epsilon"):
            town.signed(privacy__epsilon=20.0)

    def test_no_cards(self, town: Town):
        assert "names no cards" in self.found(town, deployable())

    def test_no_bundle(self, town: Town):
        assert "names no app bundle" in self.found(town, town.plan.replace(bundle=None))

    def test_a_peer_that_is_not_trusted(self, town: Town):
        town["lender-1"].trust().forget("lender-3")
        card = town["lender-3"].identity().card
        assert self.found(town) == (
            f"no card of 'lender-3' is trusted; compare {card.fingerprint} with its holder, then peer trust"
        )
        assert "lender-3 (no trusted card)" in words(look(town))["parties"]

    def test_a_peer_under_another_card(self, town: Town):
        other = Identity.generate("lender-2", "lender").card
        assert "the plan's card of 'lender-2' is" in self.found(town, **{"lender-2": other})

    def test_a_peer_in_another_role(self, town: Town):
        key = town["lender-2"].identity()._key
        other = Identity("lender-2", "platform", key).card
        assert "the plan's card of 'lender-2' is" in self.found(town, **{"lender-2": other})

    def test_an_own_card_that_is_not_this_nodes(self, town: Town):
        data = town.plan.model_dump(mode="json")
        data["parties"][0]["card"] = Identity.generate("lender-1", "lender").card.text
        assert "not this node's" in self.found(town, Plan.parse(data))

    def test_cards_of_a_simulation(self, town: Town):
        data = town.plan.model_dump(mode="json")
        data["parties"][1]["card"] = Identity.simulated(7, "lender-2", "lender").card.text
        assert "cards of lender-2 are of a simulation" in self.found(town, Plan.parse(data))

    def test_persons_that_are_named_otherwise_than_in_the_data_set(self, town: Town):
        plan = town.signed(alignment__identifier="phone", groups__lender__table__person="who")
        ledger, home = town.ledger("lender-1"), town["lender-1"]
        seen = review(plan, home.identity().card, home.trust().cards, ledger.state, home.config().data)
        ledger.close()
        assert len(seen.obstacles) == 2
        assert "the plan names persons by 'who' (table.person)" in seen.obstacles[0]
        assert "the plan names persons in the normal form 'phone'" in seen.obstacles[1]

    def test_a_plan_of_others(self, town: Town):
        data = town.plan.model_dump(mode="json")
        data["parties"] = data["parties"][1:]
        seen = look(town, Plan.parse(data))
        assert seen.obstacles == ("the plan has no party named 'lender-1'; its parties: lender-2, lender-3",)
        assert "spent" not in words(seen)

    def test_an_expired_plan(self, town: Town):
        last = town.plan.expires
        assert last is not None
        assert self.found(town, today=last) == ""
        assert self.found(town, today=date(last.year + 1, 1, 1)) == f"the plan expired on {last}"

    @pytest.mark.parametrize(
        ("key", "value", "what"),
        [("privacy__noise", "none", "privacy.noise"), ("alignment__method", "exact", "alignment.method")],
    )
    def test_settings_that_are_for_simulations(self, town: Town, key: str, value: str, what: str):
        assert what in self.found(town, town.plan.replace(**{key: value}))


@pytest.mark.parametrize(("nominal", "words"), [(240_000, "16.5 MiB"), (50_000, None)])
def test_an_alignment_that_no_message_can_hold_is_known_before_the_run(nominal: int, words: str | None):
    plan = rehearsal_plan(bundle="5e" * 32)
    parties = [party.model_dump() | {"nominal_records": nominal} for party in plan.parties]
    plan = plan.replace(parties=parties)
    cards = {name: identity_of(name).card for name in (SERVER, *PARTIES)}
    for party in ("lender-1", "video-1"):
        found = [
            o
            for o in review(
                plan,
                cards[party],
                cards,
                LedgerState(),
                DataSection(id="x", file=Path("x.csv"), identifier="id", form="exact"),
            ).obstacles
            if "MiB" in o
        ]
        assert len(found) == (0 if words is None else 1 if party == "lender-1" else 3)
        assert all(f"a message of {words}" in obstacle for obstacle in found)


class TestPlansOfCounts:
    def signed(self, town: Town, **changes: Any) -> Plan:
        """A plan of counts under the cards of all, its table named as the town's data sets are."""
        plan = counts_plan(expires=str(date.today() + timedelta(days=30)), **changes)
        table = plan.groups["lender"].table.model_dump(mode="json") | {"id": "loan", "person": "id"}
        cards = town.server.enrolments()
        return with_cards(plan.replace(groups__lender__table=table), town.server.identity().card, cards, BUNDLE)

    def test_what_is_counted_and_what_it_shows_is_told(self, town: Town):
        seen = look(town, self.signed(town))
        assert seen.obstacles == ()
        told = words(seen)
        assert "2025-01 to 2026-12" in told["counts"]
        assert "sector_0 (food, fashion, other)" in told["counts"]
        assert "counted by" in told["reads"]
        assert float(told["shows"].split("chance ")[1].split(",")[0]) > 0.9
        assert "(monitoring)" in told["purpose"]
        assert "test persons" not in told

    def test_one_that_would_show_nothing_is_not_signed_and_cannot_be_approved(self, town: Town):
        with pytest.raises(PlanError, match=r"privacy\.epsilon"):
            self.signed(town, privacy__epsilon=0.1)
        good = self.signed(town)
        weak = good.replace(privacy__epsilon=0.1)
        (why,) = look(town, weak).obstacles
        assert "below 0.8" in why
