"""What a policy may read of one application: own inputs, points, a capacity band, events. Neither role nor signals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sealscore.clients.decision.policy.model import Cell, DecisionPolicy, Event, PolicyProduct
from sealscore.clients.scoring.application import STRANGE, ApplicationError
from sealscore.clients.scoring.service import SHOPPING
from sealscore.shared.text.foreign import plain

LOAN_KEYS = ("amount", "term_months", "inputs")
_MOST_KEYS = 200


@dataclass(frozen=True)
class LoanRequest:
    """What is asked for beside a score: a product, an amount, a term in months, and the lender's own inputs.

    `inputs` has each declared input, None where there is no value. `application` is what is scored. Its `repr` has no
    value.
    """

    application: dict[str, Any] = field(repr=False)
    product: str
    amount: int = field(repr=False)
    term: int = field(repr=False)
    inputs: Mapping[str, Cell] = field(repr=False)

    @classmethod
    def parse(cls, data: Any, policy: DecisionPolicy) -> LoanRequest:
        """Check plain data, before anything is scored.

        Raises:
            ApplicationError: a product or term that the policy has not, an amount that is none, an input that is
                unknown, of the wrong type or out of its bounds. A value that is missing, null or NaN is no error.
        """
        if not isinstance(data, dict):
            raise ApplicationError("malformed", ["an application is a JSON object"])
        name = data.get("product")
        product = policy.products.get(name) if isinstance(name, str) else None
        if product is None:
            what = f"product: is none of the policy's: {', '.join(policy.products)}"
            raise ApplicationError("product", [what])
        amount, term, given = (data.get(key) for key in LOAN_KEYS)
        problems = []
        least = product.limits.smallest
        if isinstance(amount, bool) or not isinstance(amount, int) or not least <= amount <= 10**12:
            problems.append(f"amount: must be a whole number of {policy.currency}, at least {least}")
        if isinstance(term, bool) or term not in product.limits.terms:
            problems.append(f"term_months: must be one of {', '.join(map(str, product.limits.terms))}")
        if not isinstance(given, dict):
            problems.append("inputs: must be an object of values by their names")
            given = {}
        inputs, wrong = _inputs(product, given)
        if problems or wrong:
            raise ApplicationError("inputs", [*problems, *wrong])
        application = {key: value for key, value in data.items() if key not in LOAN_KEYS}
        return cls(application, str(name), int(amount or 0), int(term or 0), inputs)


def _inputs(product: PolicyProduct, given: Mapping[str, Any]) -> tuple[dict[str, Cell], list[str]]:
    known = product.inputs
    wrong = [f"inputs.{plain(key, 40)}: {STRANGE}" for key in islice(given, _MOST_KEYS) if key not in known]
    found: dict[str, Cell] = {}
    for name, declared in known.items():
        value = given.get(name)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            found[name] = None
        elif what := declared.fault(value):
            wrong.append(f"inputs.{name}: {what}")
        else:
            found[name] = float(value) if declared.numeric else value
    return found, wrong


@dataclass(frozen=True)
class ScoredFacts:
    """What of a score's answer a policy may read. `capacity` is the lower edge of the band that was told, if any.

    `token_of_another` says that a token was made for somebody else, which is no lack of consent.
    """

    points: int
    pd: float
    capacity: float | None
    events: frozenset[Event]
    token_of_another: bool

    def __repr__(self) -> str:
        return "ScoredFacts()"

    @classmethod
    def of(cls, answer: Mapping[str, Any], version: int = 1) -> ScoredFacts:
        """Those of an answer of `ScoreService`, or of its line, for a version of a decision.

        Another amount, or other inputs, are another decision on the same version of the score.
        """
        events: set[Event] = {"score-shopping"} if max(answer["version"], version) >= SHOPPING else set()
        edges: list[float] = []
        for signal in answer["signals"]:
            told = signal.get("told") or {}
            if told.get("flag"):
                events.add("bought-traffic")
            if band := told.get("capacity"):
                # The lowest band has no lower edge: nothing is known to be there.
                edges.append(max(0.0, float(band["above"] if band["above"] is not None else 0.0)))
        other = any(signal["status"] == "other-person" for signal in answer["signals"])
        return cls(int(answer["points"]), float(answer["pd"]), max(edges, default=None), frozenset(events), other)

    def plain(self) -> dict[str, Any]:
        """As the log keeps them."""
        kept = {"points": self.points, "pd": self.pd, "capacity": self.capacity, "events": sorted(self.events)}
        return kept | {"token_of_another": self.token_of_another}

    @classmethod
    def kept(cls, data: Mapping[str, Any]) -> ScoredFacts:
        """Those that `plain` gave."""
        return cls(
            data["points"], data["pd"], data["capacity"], frozenset(data["events"]), bool(data["token_of_another"])
        )


@dataclass(frozen=True)
class Applicant:
    """All that an evaluation reads. `exposure` is what this person owes or was promised here; `draw` is in [0, 1).

    `recent` are the person's decisions before this one, of whatever application, as days ago.
    """

    amount: int
    term: int
    inputs: Mapping[str, Cell]
    scored: ScoredFacts
    exposure: int
    draw: float
    recent: Sequence[int] = ()

    def __repr__(self) -> str:
        return "Applicant()"
