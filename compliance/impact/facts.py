"""`FACTS.toml`: what a person states for an impact assessment, since no ledger knows it.

Nothing has a default but "not stated": an assessment shows what is missing rather than a guess. Keys that are not
known, and parties that no plan names, are refused, so that nothing that was stated is left out unseen.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.schema import Strict
from sealscore.shared.plan.toml import load_as

Words = Annotated[str, Field(max_length=4000)]
RETAINED = ("raw-records", "labels", "signal", "bands", "scores", "decisions", "ledger", "models")
"""For what a retention can be stated."""


class Assessment(Strict):
    """Who assessed what and when."""

    date: datetime.date | None = None
    author: Words = ""
    necessity: Words = ""
    risks: Words = ""
    measures: Words = ""
    conclusion: Words = ""


class LegalBasis(Strict):
    """On what the processing rests in law."""

    training: Words = ""
    scoring: Words = ""
    sensitive: Words = ""


class Contact(Strict):
    """Who answers for it, and to whom a person can turn."""

    handler: Words = ""
    officer: Words = ""
    reach: Words = ""


class Whereabouts(Strict):
    """Where the server and each party are, and whether anything crosses a border."""

    server: Words = ""
    parties: dict[str, Words] = Field(default_factory=dict)
    border: Words = ""


class SeparateConsent(Strict):
    """How consent is asked for apart from everything else, and taken back."""

    asked: Words = ""
    withdrawn: Words = ""


class AutomatedDecisions(Strict):
    """What a program decides, what a person does, and how it is explained."""

    decided: Words = ""
    reviewed: Words = ""
    explained: Words = ""


class Complaint(Strict):
    """How a person complains, and to which authority."""

    route: Words = ""
    authority: Words = ""


class ImpactFacts(Strict):
    """The whole file. `roles` says what a party, or the server, is in law; `retention` for how long a kind is kept."""

    assessment: Assessment = Assessment()
    basis: LegalBasis = LegalBasis()
    retention: dict[str, Words] = Field(default_factory=dict)
    contact: Contact = Contact()
    location: Whereabouts = Whereabouts()
    roles: dict[str, Words] = Field(default_factory=dict)
    consent: SeparateConsent = SeparateConsent()
    decisions: AutomatedDecisions = AutomatedDecisions()
    complaint: Complaint = Complaint()


def load_facts(path: Path, parties: Collection[str]) -> ImpactFacts:
    """Read a file of facts about these parties.

    Raises:
        PlanError: it cannot be read, has a key or a kind that is not known, or names a party that no plan has.
    """
    facts = load_as(ImpactFacts, path)
    wrong = [
        f"retention.{kind}: is no kind that is kept; kinds are {', '.join(RETAINED)}"
        for kind in facts.retention
        if kind not in RETAINED
    ]
    named = {"location.parties": facts.location.parties, "roles": facts.roles}
    wrong += [
        f"{table}.{name}: no plan in these ledgers names it; parties are {', '.join(sorted(parties)) or 'none'}"
        for table, names in named.items()
        for name in names
        if name not in parties and not (table == "roles" and name == "server")
    ]
    if wrong:
        raise PlanError(str(path), wrong)
    return facts
