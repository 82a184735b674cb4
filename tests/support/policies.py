"""The policy of docs/decisions.md, as it stands there and with changes, and applications under it."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from paths import ROOT
from small_release import TODAY, Pair, application

from sealscore.clients.decision.facts import Applicant, ScoredFacts
from sealscore.clients.decision.policy.approved import ApprovedPolicies, use_policy
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.service import DecisionService

PAGE = ROOT / "docs" / "decisions.md"
INPUTS: dict[str, Any] = {"income": 9000, "debt_service": 500, "identity_verified": True, "shared_phone": 0}
BASIS = {"basis": "the words of counsel on it", "source": "the provision"}


@cache
def policy_text() -> str:
    """The policy of the page as its file."""
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


def policy_data(**changes: Any) -> dict[str, Any]:
    """The same as plain data; `changes` are dotted keys, written with __ for the dot, and None takes a key out."""
    data = copy.deepcopy(tomllib.loads(policy_text()))
    for path, value in changes.items():
        *steps, last = path.split("__")
        place: Any = data
        for step in steps:
            place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
        key = int(last) if last.isdigit() else last
        if value is None:
            del place[key]
        else:
            place[key] = value
    return data


def page_policy(**changes: Any) -> DecisionPolicy:
    """The policy of the page with changes."""
    return DecisionPolicy.parse(policy_data(**changes))


def counting(days: int = 30, least: int = 3, **changes: Any) -> DecisionPolicy:
    """The lenient policy with a rule on how often one person asks."""
    rule = {"id": "asks-often", "event": "many-applications", "within_days": days, "at_least": least}
    words = {"en": "There are several applications.", "zh": "近期有多次申请。"}
    rules = [*policy_data()["products"]["starter"]["rules"], rule | {"effect": "review", "reason": words}]
    return lenient(products__starter__rules=rules, **changes)


def lenient(**changes: Any) -> DecisionPolicy:
    """The policy with cut-offs that every invented score passes."""
    easy = {"approve": -1000, "review": -1000}
    given = {"products__starter__champion": easy, "products__starter__fallback": easy}
    return page_policy(**given, products__starter__bands__0__start=-1000, **changes)


def decider(pair: Pair, policy: DecisionPolicy | None = None, *shadows: DecisionPolicy) -> DecisionService:
    """The lender's decisions under a policy, which is approved first."""
    known = ApprovedPolicies.of(pair.log)
    for one, use in ((policy or lenient(), "live"), *((shadow, "shadow") for shadow in shadows)):
        if known.uses.get(one.hash) != use:
            use_policy(pair.log, one, use, "me")  # type: ignore[arg-type]
    form = pair.plan.alignment.identifier
    return DecisionService(pair.service(), pair.log, ApprovedPolicies.of(pair.log), form)


def asked(person: str, *tokens: bytes, **changes: Any) -> dict[str, Any]:
    """An application for a loan."""
    given = {"amount": 8000, "term_months": 12, "inputs": INPUTS}
    return application(person, *tokens, day=TODAY, **(given | changes))


def applicant(inputs: Mapping[str, Any] | None = None, **changes: Any) -> Applicant:
    """What an evaluation reads, of a good applicant."""
    scored: dict[str, Any] = {"points": 640, "pd": 0.02, "capacity": None, "events": frozenset()}
    scored |= {"token_of_another": False}
    scored |= {name: changes.pop(name) for name in list(changes) if name in scored}
    given: dict[str, Any] = {"amount": 8000, "term": 12, "exposure": 0, "draw": 0.5} | changes
    return Applicant(inputs={**INPUTS, **(inputs or {})}, scored=ScoredFacts(**scored), **given)
