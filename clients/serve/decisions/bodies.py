"""What callers send about decisions, beside applications, as checked types; the description is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sealscore.clients.http.bodies import ApiBody

DECISION_ID = r"^[0-9a-f]{32}$"
Text = Annotated[str, Field(min_length=10, max_length=1000)]
LoanName = Annotated[str, Field(min_length=1, max_length=200, description="the loan's id in the lender's own system")]


class ReviewBody(ApiBody):
    """A person decides what waits. `amount` is what is approved, by default what was asked for."""

    outcome: Literal["approve", "decline"]
    reviewer: Annotated[str, Field(min_length=2, max_length=80, description="name or staff number of who decided")]
    reason: Annotated[Text, Field(description="what was looked at, for the log")]
    amount: Annotated[int, Field(ge=1, le=10**12)] | None = None


class DisputeBody(ApiBody):
    """An applicant objects. With `application`, what was corrected is scored as a new version: that needs the right
    `decide`, too.
    """

    why: Annotated[Text, Field(description="what the applicant objects to, for the log")]
    application: Annotated[dict[str, Any], Field(description="as POST /v1/decisions takes it")] | None = None


class OpenLoanBody(ApiBody):
    """A loan starts: by the decision that approved it, or of a person where it came of no decision here."""

    loan_id: LoanName
    principal: Annotated[int, Field(ge=0, le=10**12, description="what is owed, in whole units of the currency")]
    decision_id: Annotated[str, Field(pattern=DECISION_ID)] | None = None
    person: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class CloseLoanBody(ApiBody):
    """A loan is paid back or written off."""

    loan_id: LoanName


BODIES: tuple[type[ApiBody], ...] = (ReviewBody, DisputeBody, OpenLoanBody, CloseLoanBody)
