"""A lender's tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from sealscore.simulations.world.config import PERIODS
from sealscore.simulations.world.parties.bureau import bureau_rows
from sealscore.simulations.world.parties.consents import WorldConsents, lender_rows
from sealscore.simulations.world.parties.papers import birth_days, identity_rows
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.latent import GENDERS, REGIONS, stream
from sealscore.simulations.world.people.lending import PRODUCTS, Loans
from sealscore.simulations.world.people.repayment import LATE, NEVER, PERIOD_DAYS, WINDOW
from sealscore.simulations.world.tables import days, levels, text_ids


def application_ids(agents: Agents, loans: Loans) -> pl.Series:
    """The id of every application, in random order of the persons."""
    return text_ids("A", stream(agents.config, "application ids").permutation(len(loans)))


def lender_tables(
    agents: Agents, loans: Loans, consents: WorldConsents, creators: pl.Series, ids: pl.Series
) -> Iterator[tuple[int, str, pl.DataFrame]]:
    """Every table of every lender: the lender's place in the config, the table's name, the rows.

    `creators` [n] and `ids` [a] are the ids of creators and of applications.
    """
    schedule = _schedule(agents, loans)
    # A report is pulled for the application, and tells of the day before.
    bureau, known = bureau_rows(agents, loans.who, loans.applied - np.timedelta64(1, "D"), creators)
    whole = {
        "applications": _applications(agents, loans, creators, ids),
        "identity": identity_rows(agents, loans, ids),
        "decisions": _decisions(agents, loans, ids),
    }
    for place in range(len(agents.config.lending.lenders)):
        here = np.flatnonzero(loans.lender == place)
        here = here[np.lexsort((loans.number[here], loans.applied[here]))]
        for name, frame in whole.items():
            yield place, name, frame[here]
        yield place, "bureau", bureau[here[known[here]]]
        granted = here[loans.approved[here]]
        yield place, "repayments", _repayments(loans, schedule, granted, ids)
        yield place, "outcomes", _outcomes(loans, schedule, granted, ids)
        yield place, "consents", lender_rows(agents, loans, consents, place, creators)


@dataclass(frozen=True)
class _Schedule:
    """Due days and days of payment (NaT for none), datetime64[D] [a, PERIODS]; which instalments there are."""

    due: np.ndarray
    paid: np.ndarray
    there: np.ndarray


def _schedule(agents: Agents, loans: Loans) -> _Schedule:
    """Days of payment: a few after the instalment's or, in arrears, a later due day; the honest are more punctual."""
    due = loans.applied[:, None] + (PERIOD_DAYS * np.arange(1, PERIODS + 1)).astype("timedelta64[D]")
    slack = np.exp(0.6 - agents.config.lending.delay_honesty * agents.creators.honesty[loans.who])
    late = np.minimum(stream(agents.config, "days late").poisson(slack[:, None], due.shape), 20)
    when = loans.applied[:, None] + (PERIOD_DAYS * loans.paid_in + late).astype("timedelta64[D]")
    never = loans.paid_in == NEVER
    return _Schedule(
        due=due,
        paid=np.where(never, np.datetime64("NaT", "D"), when),
        there=np.arange(PERIODS) < loans.term[:, None],
    )


def _applications(agents: Agents, loans: Loans, creators: pl.Series, ids: pl.Series) -> pl.DataFrame:
    people, who = agents.creators, loans.who
    lived = (loans.applied - birth_days(agents)[who]).astype(np.int64)
    return pl.DataFrame(
        {
            "application_id": ids,
            "creator_id": creators.gather(who),
            "product": levels(PRODUCTS, loans.product),
            "applied_at": days(loans.applied),
            "amount": loans.amount,
            "term_months": loans.term,
            "currency": pl.repeat(agents.config.currency, len(loans), eager=True),
            "declared_income": loans.declared_income,
            "age": np.floor(lived / 365.25).astype(np.int16),
            "gender": levels(GENDERS, people.gender[who]),
            "region": levels(REGIONS, people.region[who]),
        }
    )


def _decisions(agents: Agents, loans: Loans, ids: pl.Series) -> pl.DataFrame:
    wait = stream(agents.config, "days to decide").integers(0, 4, len(loans)).astype("timedelta64[D]")
    return pl.DataFrame(
        {
            "application_id": ids,
            "decision": levels(("declined", "approved"), loans.approved),
            "decided_at": days(loans.applied + wait),
        }
    )


def _repayments(loans: Loans, schedule: _Schedule, granted: np.ndarray, ids: pl.Series) -> pl.DataFrame:
    loan, place = np.nonzero(schedule.there[granted])
    at = granted[loan]
    paid = schedule.paid[at, place]
    due = loans.instalment[at]
    return pl.DataFrame(
        {
            "application_id": ids.gather(at),
            "due_at": days(schedule.due[at, place]),
            "paid_at": days(paid),
            "due_amount": due,
            "paid_amount": np.where(np.isnat(paid), 0.0, due),
        }
    )


def _outcomes(loans: Loans, schedule: _Schedule, granted: np.ndarray, ids: pl.Series) -> pl.DataFrame:
    """A bad loan closes on the day on which it is 90 days past due, a good one when paid or when the window ends."""
    bad = loans.bad[granted]
    places = np.arange(1, PERIODS + 1)
    counted = schedule.there[granted] & (places <= WINDOW - LATE)
    open_too_long = counted & (loans.paid_in[granted] >= places + LATE)
    first = schedule.due[granted, np.argmax(open_too_long, axis=1)] + np.timedelta64(PERIOD_DAYS * LATE, "D")
    last = schedule.paid[granted, loans.term[granted] - 1]
    end = loans.applied[granted] + np.timedelta64(365, "D")
    paid = np.where(np.isnat(last), end, np.minimum(last, end))
    return pl.DataFrame(
        {
            "application_id": ids.gather(granted),
            "bad": bad.astype(np.int8),
            "closed_at": days(np.where(bad, first, paid)),
        }
    )
