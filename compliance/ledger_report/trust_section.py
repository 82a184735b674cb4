"""Whom a claim trusts, and what it does not cover."""

from __future__ import annotations

from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.pages.page import Html, table
from sealscore.compliance.told.kinds import TOLD_KINDS
from sealscore.compliance.told.rows import planned_kinds
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.catalogue import tr
from sealscore.shared.text.numbers import listed, whole


def trust(review: LedgerReview) -> Html:
    """Who is trusted with what, who is not, and what suffers if that trust fails."""
    plans = review.plans
    platforms = any(plan.platforms for plan in plans)
    shared = any(len(plan.members(group)) > 1 for plan in plans for group in plan.groups)
    rows: list[tuple[str, str, str, str]] = [
        (
            "the party itself",
            "its own raw records, secrets and this ledger; to run the reviewed code and to keep its clock",
            "anything of other parties",
            "its own claim and its own ledger; with an anchor kept elsewhere, a changed ledger is detected",
        ),
        (
            "the server",
            "to choose rounds and to pass on what it cannot read",
            "any single contribution or payload, and the noise: it may lie about weights, rounds and who failed",
            "nothing of the claim, while no more parties collude with it than the plan states"
            if shared
            else "nothing of the claim: the one party of each group adds all of the noise",
        ),
    ]
    if shared:
        rows.append(
            (
                "other parties of a group",
                f"to add their share of the noise; at most {_colluding(plans)} of them may collude",
                "each other's contributions, which are masked",
                "the claim weakens to the figure “if all others collude”, and no further",
            )
        )
    if platforms:
        rows += [
            (
                "platforms",
                "to keep the noisy labels that they train on, and to delete them on request",
                "true labels, bureau data, applicants whom they do not know",
                "their own view is the figure “against a platform”",
            ),
            (
                "lenders",
                "the signal of their own consented applicants",
                "channel data, towers' scores, other lenders' records",
                "their view is counted in bits, not by epsilon",
            ),
        ]
    rows += [
        (
            "whoever wrote the plan",
            "to state honestly at how many parties a person can be",
            "anything that a plan does not say: each operator approves its hash",
            "a wrong statement makes epsilon too small",
        ),
        (
            "the network",
            "nothing: connections are closed, and payloads sealed by keys that a quantum computer does not open either",
            "everything",
            "nothing",
        ),
    ]
    columns = ["who", "is trusted with", "is not trusted with", "if that trust fails, what suffers"]
    return table(columns, rows, class_="even")


def _colluding(plans: list[Plan]) -> str:
    several = {
        plan.groups[group].max_colluding for plan in plans for group in plan.groups if len(plan.members(group)) > 1
    }
    return listed([whole(count) for count in sorted(several)], "or")


def beyond(review: LedgerReview) -> list[str]:
    """What the claim does not cover."""
    plans = review.plans
    said = [
        tr("What is true of people in general: a model is meant to learn it, with this person's record or without."),
        tr("Releases that are in no ledger given here, above all of other data sets about the same person."),
        tr("A party that runs other code than was reviewed, or lies about its records."),
        tr("What is after the last anchor that somebody else keeps: an operator could cut it off unseen."),
        tr("Choices that were made by looking at private data outside of the plans."),
        tr("Theft of raw records at their owner."),
    ]
    said += [TOLD_KINDS[key].beyond() for key in told_kinds(review)]
    if any(plan.privacy.noise == "none" for plan in plans):
        said.insert(0, tr("Plans without noise: nothing bounds what they reveal. They are for simulations only."))
    return said


def told_kinds(review: LedgerReview) -> list[str]:
    """Kinds of disclosures that the ledgers record or their plans and releases provide for, in order."""
    accounts = [party.account for party in review.parties]
    found = {one.kind for one in review.told} | planned_kinds(accounts)
    return [key for key in TOLD_KINDS if key in found]
