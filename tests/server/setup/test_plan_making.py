"""Plans for a deployment: of the nodes that are enrolled, with a profile's rounds, signed with all cards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
import tomli_w
from homes import BUNDLE, Town, deployable, plan_data
from vertical_builders import vertical_plan

from sealscore.server.run.progress.pace import duration, minutes, payloads, sums
from sealscore.server.setup.plan_making import PROFILES, changed, made, with_cards
from sealscore.shared.identity.enrolment import Enrolment
from sealscore.shared.identity.identity import Identity
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.toml import load_toml
from sealscore.simulations.data.scenario import PLANS

EXPIRES = date(2031, 3, 31)


def enrolments(*names: str) -> dict[str, Enrolment]:
    roles = {"video": "platform", "wallet": "platform"}
    key = "ecdsa-sha2-nistp384 AAAA"
    found = {}
    for name in names:
        identity = Identity.generate(name, roles.get(name.split("-")[0], "lender"))
        found[name] = Enrolment.of(identity, key)
    return found


def plan_for(
    like: dict[str, Any],
    *names: str,
    profile: str = "few",
    groups: Mapping[str, str] | None = None,
    records: Mapping[str, int] | None = None,
) -> Plan:
    data = made(like, "new", PROFILES[profile], enrolments(*names), groups or {}, records or {}, 3, EXPIRES)
    return Plan.parse(data)


class TestMade:
    @pytest.mark.parametrize("profile", sorted(PROFILES))
    def test_takes_schemas_over_and_rounds_of_the_profile(self, profile: str):
        plan, chosen = plan_for(plan_data(), "north", "south", profile=profile), PROFILES[profile]
        like = deployable()
        assert (plan.training.rounds, plan.training.sample_rate) == (chosen.rounds, chosen.sample_rate)
        optimizer = plan.training.optimizer
        assert (optimizer.learning_rate, optimizer.momentum) == (chosen.learning_rate, chosen.momentum)
        assert plan.groups["lender"].table == like.groups["lender"].table
        assert (plan.outcome, plan.privacy, plan.evaluation) == (like.outcome, like.privacy, like.evaluation)
        assert (plan.name, plan.seed, plan.expires, plan.alignment.method) == ("new", 3, EXPIRES, "private")
        assert not plan.enrolled

    @pytest.mark.parametrize("like", ["creators_monitoring", "creators_eps2"])
    def test_what_is_made_can_be_written_as_a_file_and_read_back(self, like: str):
        """A plan of counts says nothing of an evaluation, and gets one."""
        names = ["north", "south", "lender-3"] if like == "creators_monitoring" else ["north", "video-1", "wallet"]
        groups = {"video-1": "short-video", "wallet": "wallet"}
        data = made(
            load_toml(PLANS / f"{like}.toml"), "new", PROFILES["few"], enrolments(*names), groups, {}, 3, EXPIRES
        )
        assert Plan.loads(tomli_w.dumps(data)) == Plan.parse(data)

    def test_parties_are_the_enrolled_nodes(self):
        plan = plan_for(plan_data(), "south", "north", records={"north": 4_000})
        assert [(party.name, party.nominal_records) for party in plan.parties] == [("north", 4_000), ("south", 10_000)]

    def test_what_it_is_made_from_says_holds_where_nothing_else_is_said(self):
        like = deployable()
        data = plan_data(parties=[party.model_dump(mode="json") for party in like.parties])
        names = [party.name for party in like.parties]
        made_again = Plan.parse(made(data, "new", None, enrolments(*names, "north"), {}, {names[0]: 77}, 3, EXPIRES))
        assert made_again.training == like.training
        kept = {party.name: party.nominal_records for party in like.parties} | {names[0]: 77, "north": 10_000}
        assert {party.name: party.nominal_records for party in made_again.parties} == kept

    def test_what_could_not_be_kept_is_named(self):
        like = plan_data()
        data = made(like, "new", None, enrolments("north", "south"), {}, {}, 3, EXPIRES)
        group = like["groups"]["lender"]
        wanted = {key for key in ("max_colluding", "min_parties") if key in group}
        wanted = {key for key in wanted if data["groups"]["lender"][key] != group[key]}
        assert len(changed(like, data)) == len(wanted)
        assert all(any(key in words for words in changed(like, data)) for key in wanted)
        assert changed(data, data) == []

    def test_what_belongs_to_a_simulation_or_another_federation_is_left_out(self):
        like = plan_data(
            simulation={"dataset": "synthetic"}, server_card="x", bundle="y", alignment={"method": "exact"}
        )
        plan = plan_for(like, "north", "south")
        assert (plan.server_card, plan.bundle, plan.alignment.method) == (None, None, "private")

    @pytest.mark.parametrize(
        ("members", "colluding", "wanted", "then"),
        [
            (1, 0, 1, (0, 1)),
            (2, 1, 3, (0, 2)),
            (3, 1, 3, (1, 3)),
            (5, 1, 3, (1, 3)),
            (5, 1, 5, (1, 5)),  # what the plan that it is made from asks for is not weakened
            (4, 9, 11, (2, 4)),
        ],
    )
    def test_cohorts_are_as_large_as_colluders_make_them(
        self, members: int, colluding: int, wanted: int, then: tuple[int, int]
    ):
        like = plan_data()
        like["groups"]["lender"] |= {"max_colluding": colluding, "min_parties": wanted}
        group = plan_for(like, *(f"lender-{number}" for number in range(members))).groups["lender"]
        assert (group.max_colluding, group.min_parties) == then
        assert like["groups"]["lender"]["min_parties"] == wanted

    def test_platforms_find_their_kind_or_are_asked_for_it(self):
        like = vertical_plan().model_dump(mode="json") | {"parties": []}  # it names no party that is enrolled
        groups = like["groups"]
        one = like | {"groups": {name: groups[name] for name in ("lender", "video")}}
        one["evaluation"] = like["evaluation"] | {"groups": {"age": [40]}}
        plan = plan_for(one, "lender-1", "lender-2", "video-1", "video-2")
        assert {party.name: party.group for party in plan.parties}["video-2"] == "video"
        assert sorted(groups) == ["lender", "video", "wallet"]
        with pytest.raises(PlanError, match="video-1: several groups are for a platform; say --group video-1=GROUP"):
            plan_for(like, "lender-1", "video-1")
        names = ("lender-1", "lender-2", "video-1", "wallet-1")
        chosen = plan_for(like, *names, groups={"video-1": "video", "wallet-1": "wallet"})
        assert [party.group for party in chosen.parties] == ["lender", "lender", "video", "wallet"]

    def test_a_node_that_fits_into_no_group_is_named(self):
        with pytest.raises(PlanError, match="video-1: no group is for a platform"):
            plan_for(plan_data(), "north", "video-1")

    def test_a_kind_without_a_node_is_explained(self):
        with pytest.raises(PlanError, match="no party of the plan belongs to it"):
            plan_for(vertical_plan().model_dump(mode="json"), "lender-1", "lender-2")


class TestSigned:
    def test_names_all_cards_and_the_bundle(self, town: Town):
        enrolled = town.server.enrolments()
        plan = with_cards(deployable(), town.server.identity().card, enrolled, BUNDLE)
        assert plan.bundle == BUNDLE
        assert plan.cards == {name: one.card for name, one in enrolled.items()} | {
            "server": town.server.identity().card
        }
        assert plan.replace(server_card=None, bundle=None, parties=deployable().model_dump()["parties"]) == deployable()

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"privacy__noise": "none"}, "privacy.noise"),
            ({"alignment__method": "exact"}, "alignment.method"),
            ({"expires": None}, "says until when it may run"),
            ({"privacy__epsilon": 20.0}, "raise delta or lower epsilon"),
        ],
    )
    def test_not_every_plan_is(self, town: Town, change: dict[str, Any], what: str):
        with pytest.raises(PlanError, match=what):
            with_cards(deployable(**change), town.server.identity().card, town.server.enrolments(), BUNDLE)

    def test_everybody_must_be_enrolled(self, town: Town):
        enrolled = town.server.enrolments()
        del enrolled["lender-2"]
        with pytest.raises(PlanError, match="'lender-2' is not enrolled"):
            with_cards(deployable(), town.server.identity().card, enrolled, BUNDLE)


def test_exchanges_are_counted_phase_by_phase():
    plan = deployable(training__rounds=60)
    assert (sums(plan), payloads(plan)) == (63, 0)  # bins, 60 rounds, calibration, evaluation
    assert duration(plan, 2.0) == 126.0
    vertical = vertical_plan()
    lenders, platforms = len(vertical.members(vertical.lenders)), len(vertical.members("video"))
    assert payloads(vertical) % (lenders * platforms) == 0
    assert payloads(vertical) >= 8 * lenders * platforms  # align, labels, signals


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (89.0, "89 s"), (90.0, "2 min"), (150.0, "2 min"), (600.0, "10 min"), (7200.0, "2.0 h")],
)
def test_durations_in_words(seconds: float, words: str):
    assert minutes(seconds) == words


@pytest.mark.parametrize("written", ["auto", None])
def test_a_plan_that_trains_by_the_recipe_stays_one(written: str | None):
    like = plan_data()
    del like["training"]
    if written:
        like["training"] = written
    like = {key: value for key, value in like.items() if key != "model"}
    assert plan_for(like, "north", "south").training.auto
