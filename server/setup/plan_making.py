"""Plans for a deployment: made from a plan that has the schemas, for the nodes that are enrolled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.enrolment import Enrolment
from sealscore.shared.identity.identity import Card
from sealscore.shared.monitoring.power import too_weak
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.hazards import simulated_only
from sealscore.shared.plan.plan import Plan, as_authored


@dataclass(frozen=True)
class Profile:
    """Rounds and sample rate of every tower, and the server's steps; `auc_cost` is what was measured, in words.

    It is known of one kind of plan alone (`measured_for`).
    """

    rounds: int
    sample_rate: float
    learning_rate: float
    momentum: float
    auc_cost: str

    def training(self, like: Mapping[str, Any]) -> dict[str, Any]:
        """The training of a plan with this profile, where `like` is that of the plan that it is made from."""
        optimizer = dict(like.get("optimizer", {}))
        optimizer |= {"learning_rate": self.learning_rate, "momentum": self.momentum}
        return dict(like) | {"rounds": self.rounds, "sample_rate": self.sample_rate, "optimizer": optimizer}


# AUC of three lenders at epsilon 1 on UCI credit default, by `python -m sealscore.simulations.bench profiles` (mean
# of three seeds, standard deviations up to 0.001): on the test rows many 0.784, few 0.789, fewest 0.789; on a fifth
# of the training rows held out 0.776, 0.780, 0.780. On another fifth, over five seeds, few had 0.776 and fewest
# 0.772.
PROFILES: dict[str, Profile] = {
    "many": Profile(300, 0.05, 0.2, 0.9, "0.004 to 0.005 against few, at epsilon 1"),
    "few": Profile(150, 0.25, 0.2, 0.9, "none: the best of the profiles, at epsilon 1"),
    "fewest": Profile(60, 1.0, 0.5, 0.9, "0.000 to 0.004 against few, at epsilon 1"),
}


_AUTO = "auto"


def measured_for(plan: Plan) -> bool:
    """Whether the profiles' costs in AUC were measured on this kind of plan: three lenders, no platform, epsilon 1."""
    plain = not plan.platforms and not plan.training.auto and plan.scores_from is None and plan.monitoring is None
    return plain and len(plan.parties) == 3 and abs(plan.privacy.epsilon - 1.0) <= 0.1


def made(
    like: Mapping[str, Any],
    name: str,
    profile: Profile | None,
    enrolled: Mapping[str, Enrolment],
    groups: Mapping[str, str],
    records: Mapping[str, int],
    seed: int,
    expires: date,
) -> dict[str, Any]:
    """The data of a new plan: what `like` says, with the enrolled nodes as its parties.

    A profile's rounds are for a plan that is tuned by hand, and take no part in one that trains by the recipe; without
    a profile training stays as it is.

    `groups` says of which group a platform is where there are several kinds, `records` a party's nominal records; a
    party that `like` names keeps its group and its records where they do not.

    Raises:
        PlanError: `like` is no plan, or a node fits into no group, or into several.
    """
    _check_tables(like)
    data = {key: value for key, value in like.items() if key not in ("simulation", "parties", "server_card", "bundle")}
    training = data.get("training", _AUTO)
    if training != _AUTO and profile is not None:
        training = profile.training(training)
    data |= {"name": name, "seed": seed, "expires": expires, "training": training}
    data["groups"] = dict(data.get("groups", {}))
    data["alignment"] = dict(data.get("alignment", {})) | {"method": "private"}
    before = _parties(like)
    data["parties"] = [
        {
            "name": party,
            "group": _group(enrolment.card, data["groups"], groups, before.get(party, {}).get("group")),
            "nominal_records": records.get(party, before.get(party, {}).get("nominal_records", 10_000)),
        }
        for party, enrolment in sorted(enrolled.items())
    ]
    for group in data["groups"]:
        members = sum(party["group"] == group for party in data["parties"])
        data["groups"][group] = dict(data["groups"][group])
        colluding = min(int(data["groups"][group].get("max_colluding", 0)), max(0, members - 2))
        wanted = min(int(data["groups"][group].get("min_parties", 1)), members)
        least = 1 if members == 1 else max(wanted, colluding + 2)
        data["groups"][group] |= {"max_colluding": colluding, "min_parties": least}
    return as_authored(data)


def _check_tables(like: Mapping[str, Any]) -> None:
    """That there are tables where a plan has tables; what is in them is for the plan's own validation."""
    tables = {name: like.get(name, {}) for name in ("groups", "training", "alignment", "privacy")}
    if tables["training"] == _AUTO:
        tables["training"] = {}
    tables["training.optimizer"] = tables["training"].get("optimizer", {}) if _table(tables["training"]) else {}
    if _table(tables["groups"]):
        tables |= {f"groups.{name}": group for name, group in tables["groups"].items()}
    if wrong := [name for name, value in tables.items() if not _table(value)]:
        raise PlanError("plan new", [f"{name}: a plan has a table there" for name in wrong])


def _table(value: object) -> bool:
    return isinstance(value, Mapping)


def _parties(like: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The parties of the plan that is taken over, by name; what is in them is for the plan's own validation."""
    found = like.get("parties", ())
    tables = [party for party in found if _table(party)] if isinstance(found, Sequence) else []
    return {str(party.get("name")): party for party in tables}


def changed(like: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """What of the groups of `like` could not be kept in a plan that was made from it, in words."""
    found = []
    for name, group in data["groups"].items():
        before = like["groups"][name]
        members = sum(party["group"] == name for party in data["parties"])
        found += [
            f"groups.{name}.{key}: {group[key]}, and was {before[key]}, for {members} parties"
            for key in ("max_colluding", "min_parties")
            if key in before and before[key] != group.get(key)
        ]
    return found


def _group(card: Card, known: Mapping[str, Any], given: Mapping[str, str], before: str | None = None) -> str:
    if card.name in given:
        return given[card.name]
    fitting = [name for name, group in known.items() if group.get("role") == card.role]
    if before in fitting:
        return str(before)
    if len(fitting) != 1:
        what = f"{card.name}: {'no group is' if not fitting else 'several groups are'} for a {card.role}"
        raise PlanError("plan new", [f"{what}; say --group {card.name}=GROUP, one of {', '.join(known)}"])
    return fitting[0]


def with_cards(plan: Plan, server: Card, enrolled: Mapping[str, Enrolment], bundle: str) -> Plan:
    """The plan with the cards of the server and all parties, and the hash of the app bundle.

    Raises:
        PlanError: a party is not enrolled, the plan is one for simulations, no noise gives what it claims, or that
            noise would hide what a plan of counts is to show.
    """
    lacking = [party.name for party in plan.parties if party.name not in enrolled]
    if lacking:
        raise PlanError(
            plan.name, [f"parties: {name!r} is not enrolled; sealscore-server enrol CARD" for name in lacking]
        )
    if found := simulated_only(plan):
        raise PlanError(plan.name, found)
    if plan.expires is None:
        raise PlanError(plan.name, ["expires: a plan for partners says until when it may run"])
    data = plan.model_dump(mode="json")
    data["server_card"], data["bundle"] = server.text, bundle
    data["parties"] = [party | {"card": enrolled[party["name"]].card.text} for party in data["parties"]]
    signed = Plan.parse(data, plan.name)
    Mechanisms(signed).claim()
    if found := too_weak(signed):
        raise PlanError(plan.name, found)
    return signed
