"""The ledgers of a run say together what the run's own record says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ledger_files import append_raw, approval, disclose, enrolled_plan, mechanisms_of, new_ledger, reserve
from vertical_builders import federation_of, vertical_plan

from sealscore.compliance.figures.joint import joint_claims, labels_of
from sealscore.compliance.figures.registry import registry_record, tier_of
from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.verify.verify import Verification, verify_ledger
from sealscore.shared.dp.events import RandomizedResponse
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.federation import Federation


class Ran(NamedTuple):
    """A run of the vertical plan: its record, and its ledgers as they were verified."""

    plan: Plan
    privacy: dict[str, Any]
    ledgers: list[Verification]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("run")
    plan = vertical_plan(privacy__epsilon=3.0, privacy__reserve_block=2)
    federation = Federation.of(plan, federation_of(plan), ledgers=folder / "ledgers")
    federation.run(folder / "run")
    record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    ledgers = [verify_ledger(path, simulation=True) for path in sorted((folder / "ledgers").iterdir())]
    return Ran(federation.plan, record["privacy"], [one for one in ledgers if one.path.suffix == ".db"])


class TestARun:
    def test_every_ledger_verifies_and_is_within_the_plan(self, ran: Ran):
        assert [(one.party, one.findings) for one in ran.ledgers] == [
            (name, ()) for name in ("lender-1", "lender-2", "video-1", "video-2", "wallet")
        ]
        for one in ran.ledgers:
            assert one.anchored.kept > 0
            assert {head.party for head in one.others} == {p.name for p in ran.plan.parties} - {one.party}
            assert 0 < next(claim.epsilon for claim in one.claims if claim.scope == "plan") <= 3.0

    def test_together_they_give_the_figures_of_the_record(self, ran: Ran):
        [claim] = joint_claims(ran.ledgers)
        assert claim.whole
        assert claim.epsilon == pytest.approx(ran.privacy["epsilon"], rel=1e-9)
        assert claim.answers == {entry["phase"]: entry["attempts"] for entry in ran.privacy["phases"]}
        # The record takes for the sampler's distance what it costs at the plan's epsilon, not at this larger figure.
        assert claim.against_platforms == pytest.approx(ran.privacy["epsilon_against_platforms"], rel=2e-3)
        assert claim.against_platforms is not None
        assert claim.epsilon < claim.against_platforms
        json.dumps(claim.as_json(), allow_nan=False)

    def test_one_ledger_takes_what_it_cannot_see_for_answered(self, ran: Ran):
        """Of the other side's sums that its records move, all in the plan's budget; of its own, what it answered."""
        made, given = mechanisms_of(ran.plan), {entry["phase"]: entry["attempts"] for entry in ran.privacy["phases"]}
        sides = {"lender": {"video", "wallet"}, "video": {"lender"}, "wallet": {"lender"}}
        for one in ran.ledgers:
            group = ran.plan.party(one.party).group
            counts = {phase.name: phase.attempts for phase in made.phases if phase.group in sides[group]}
            counts |= {name: count for name, count in given.items() if name.endswith(f":{group}")}
            expected = made.claim(lambda phase, counts=counts: counts.get(phase.name, 0))
            assert one.claims[-1].epsilon == pytest.approx(expected, rel=1e-9)
            [claim] = joint_claims([one])
            assert claim.epsilon == pytest.approx(expected, rel=1e-9)
            assert claim.answers == {phase.name: counts.get(phase.name, 0) for phase in made.phases if not phase.paired}

    def test_one_ledger_of_each_group_gives_the_same_and_names_the_others(self, ran: Ran):
        chosen = [one for one in ran.ledgers if one.party in ("lender-2", "video-1", "wallet")]
        [claim] = joint_claims(chosen)
        assert claim.epsilon == pytest.approx(ran.privacy["epsilon"], rel=1e-9)
        assert claim.missing == ("lender-1", "video-2")

    def test_heads_that_a_party_keeps_hold_the_others_to_their_ledgers(self, ran: Ran):
        wallet = ran.ledgers[-1]
        for one in ran.ledgers[:-1]:
            again = verify_ledger(one.path, wallet.others, simulation=True)
            assert again.ok
            assert again.anchored.given == 1
            assert again.anchored.up_to > 10

    def test_the_registry_record(self, ran: Ran):
        record = registry_record(ran.ledgers)
        [entry] = record["deployments"]
        loss, deployment = entry["deployment"]["privacy_loss"], entry["deployment"]
        assert loss["privacy_parameters"] == {"epsilon": joint_claims(ran.ledgers)[0].epsilon, "delta": 1e-5}
        assert entry["plan"] == ran.plan.hash
        # Nobody has said where it was published, when, and why it was built so: not even tier 1 is reached.
        assert (entry["tier"], entry["tier_when_filled_in"]) == (0, 3)
        assert {"product.publication_date", "implementation.justification"} <= set(entry["to_fill_in"])
        deployment["product"] |= {"publication_date": "2031-01-01", "data_product_region": "CN"}
        assert tier_of(deployment) == 0
        deployment["product"]["data_product_sector"] = "Technology"
        assert tier_of(deployment) == 2
        deployment["implementation"]["justification"] = "as the board decided"
        assert tier_of(deployment) == 3
        assert "simulation" in deployment["implementation"]["mechanisms"]
        assert [one["verified"] for one in record["ledgers"]] == [True] * 5
        json.dumps(record, allow_nan=False)


def test_of_a_phase_the_party_that_answered_most_counts(tmp_path: Path):
    plan = enrolled_plan()
    ledgers = []
    for party, rounds in (("lender-1", 2), ("lender-2", 3)):
        path = tmp_path / f"{party}.db"
        new_ledger(path, party).close()
        append_raw(path, approval(plan), party=party)
        for number in range(1, rounds + 1):
            append_raw(path, reserve(plan, Kind.TRAIN, number), party=party)
        ledgers.append(verify_ledger(path))
    assert all(one.ok for one in ledgers)
    [claim] = joint_claims(ledgers)
    assert claim.answers["train_tower:lender"] == 3
    expected = mechanisms_of(plan).claim(lambda phase: 3 if phase.name == "train_tower:lender" else 0)
    assert claim.epsilon == pytest.approx(expected, rel=1e-9)
    assert claim.missing == ("video-1", "video-2", "wallet")
    assert not claim.whole
    assert joint_claims([*ledgers, ledgers[0]])[0].epsilon == claim.epsilon


def test_labels_of_a_person_are_those_of_the_lenders_it_may_be_at():
    assert labels_of(vertical_plan()) == RandomizedResponse(epsilon=1.0, count=2)
    assert labels_of(vertical_plan(privacy__max_parties_per_person=1)) == RandomizedResponse(epsilon=1.0, count=1)


def test_no_ledgers_say_nothing(tmp_path: Path):
    assert joint_claims([]) == []
    assert joint_claims([verify_ledger(tmp_path / "none.db")]) == []


def test_labels_of_lenders_whose_ledgers_are_missing_count_as_the_plan_has_them(tmp_path: Path):
    """One lender's ledger alone must not show a platform as knowing less than it does with all of them."""
    plan = enrolled_plan("cheap", training__sample_rate=1.0)
    new_ledger(tmp_path / "one.db").close()
    for entry in (approval(plan), disclose(plan, Kind.LABELS, 1)):
        append_raw(tmp_path / "one.db", entry)
    review = LedgerReview.of([tmp_path / "one.db"], None, [], False)
    [joint], worst = review.joint, review.recipients[0]
    assert review.together.platform is not None
    assert joint.against_platforms is not None
    assert joint.against_platforms > review.together.platform
    assert (worst.labels, worst.epsilon) == (True, joint.against_platforms)
