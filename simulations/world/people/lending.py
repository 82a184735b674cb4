"""Applications, and lenders' own choice of whom they take; repayment itself is in `repayment`.

What somebody asks for depends on no decision, so a life that decides by itself draws it with the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sealscore.simulations.world.config import PERIODS, Product
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.latent import stream
from sealscore.simulations.world.people.repayment import PERIOD_DAYS, borrowers, due_months, lived, true_pd

PRODUCTS = ("traffic", "starter")
MOST = 3
"""Applications of one person."""


@dataclass(frozen=True)
class Loans:
    """One entry an application, [a] each, by person and number; amounts in the currency.

    `lender` and `product` are places in the config's lenders and in PRODUCTS. `paid_in` [a, PERIODS] and `bad` say
    what would happen if the loan were granted; `pd` is the share of bad futures (NaN where none were drawn).
    """

    who: np.ndarray
    number: np.ndarray
    lender: np.ndarray
    applied: np.ndarray
    product: np.ndarray
    amount: np.ndarray
    term: np.ndarray
    instalment: np.ndarray
    declared_income: np.ndarray
    approved: np.ndarray
    paid_in: np.ndarray
    bad: np.ndarray
    pd: np.ndarray

    def __len__(self) -> int:
        return len(self.who)


@dataclass(frozen=True)
class AskedLoans:
    """What applicants ask for, [a] each: `product` is a place in PRODUCTS, `term` counts instalments.

    `amount` and `declared_income` (a month) are in the currency.
    """

    product: np.ndarray
    amount: np.ndarray
    term: np.ndarray
    declared_income: np.ndarray


def draw_loans(agents: Agents) -> Loans:
    """All applications, one number after the other: what was granted before weighs on what comes later."""
    order = lender_order(agents)
    service = np.zeros((len(agents.creators), agents.config.calendar.months))
    cutoffs: dict[int, float] = {}
    # Of each creator: how many lenders were asked, the last of them, and whether it granted the loan.
    asked = np.zeros(len(agents.creators), dtype=np.int64)
    last, granted = np.zeros_like(asked), np.zeros(len(asked), dtype=bool)
    parts = []
    for number in range(MOST):
        who, applied = agents.timeline.application_days(number)
        back = granted[who] & would_return(agents, number)
        lender = np.where(back, last[who], order[who, asked[who]])
        part = _number(agents, number, who, applied, lender, service, cutoffs)
        taken = np.flatnonzero(part.approved)
        add_service(agents, service, who[taken], applied[taken], part.term[taken], part.instalment[taken])
        asked[who] += ~back
        last[who], granted[who] = lender, part.approved
        parts.append(part)
    joined = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Loans)}
    sorting = np.lexsort((joined["number"], joined["who"]))
    return Loans(**{name: values[sorting] for name, values in joined.items()})


def would_return(agents: Agents, number: int) -> np.ndarray:
    """Who of those that file an application of that number goes back to a lender that granted the one before, [a]."""
    chance = stream(agents.config, f"back to the lender {number}")
    return chance.random(len(agents.timeline.application_days(number)[0])) < agents.config.lending.same_lender


def lender_order(agents: Agents) -> np.ndarray:
    """Lenders in the order in which each creator turns to them, [n, MOST]; the last repeated where there are fewer."""
    creators = agents.creators
    random = stream(agents.config, "choice of lender")
    draws = [
        np.log(lender.weight)
        + lender.thin_taste * creators.thin_file
        + lender.business_taste * creators.is_business
        + random.gumbel(size=len(creators))
        for lender in agents.config.lending.lenders
    ]
    order = np.argsort(-np.stack(draws, axis=1), axis=1)[:, :MOST]
    return np.pad(order, ((0, 0), (0, MOST - order.shape[1])), mode="edge")


def _number(
    agents: Agents,
    number: int,
    who: np.ndarray,
    applied: np.ndarray,
    lender: np.ndarray,
    service: np.ndarray,
    cutoffs: dict[int, float],
) -> Loans:
    """The applications of one number: what is asked for, the decision, and repayment as if granted."""
    config = agents.config
    asked = draw_asked(agents, number, who, applied)
    instalment = instalments(agents, lender, asked.amount, asked.term)
    loans = borrowers(agents, who, applied, instalment, asked.term, service)
    paid_in, bad = lived(agents, loans, stream(config, f"repayment {number}"))
    futures = stream(config, f"futures {number}")
    return Loans(
        who=who,
        number=np.full(len(who), number),
        lender=lender,
        applied=applied,
        product=asked.product,
        amount=asked.amount,
        term=asked.term,
        instalment=instalment,
        declared_income=asked.declared_income,
        approved=_decide(agents, number, who, lender, asked.amount, asked.declared_income, cutoffs),
        paid_in=paid_in,
        bad=bad,
        pd=true_pd(agents, loans, applied, futures) if config.lending.pd_rollouts else np.full(len(who), np.nan),
    )


def draw_asked(agents: Agents, number: int, who: np.ndarray, applied: np.ndarray) -> AskedLoans:
    """What creators `who` ask for in their application of that number on days `applied`, [a] each."""
    config, creators = agents.config, agents.creators
    knobs, random = config.lending, stream(config, f"applications {number}")
    traffic = np.where(creators.is_business[who], knobs.traffic_business, knobs.traffic_individual)
    product = (random.random(len(who)) >= traffic).astype(np.int64)
    turnover = agents.business.turnover(who, agents.timeline.month_of(applied))
    amount, term = np.empty(len(who)), np.empty(len(who), dtype=np.int64)
    for code, terms in enumerate((knobs.traffic, knobs.starter)):
        of = product == code
        base = turnover[of] * np.exp(knobs.amount_leverage * creators.leverage[who[of]])
        amount[of], term[of] = _asked(terms, base, random)
    income = agents.rules.margin[who] * turnover
    income = income * np.exp(-knobs.overstated * creators.honesty[who] + 0.2 * random.standard_normal(len(who)))
    return AskedLoans(product, amount, term, np.maximum(100.0, np.round(income, -1)))


def instalments(agents: Agents, lender: np.ndarray, amount: np.ndarray, term: np.ndarray) -> np.ndarray:
    """What falls due each period of loans of that amount and number of instalments at lenders' rates, [a]."""
    knobs = agents.config.lending
    rate = np.array([lender.annual_rate for lender in knobs.lenders])[lender] * PERIOD_DAYS / 365
    return np.asarray(np.round(amount * rate / (1 - (1 + rate) ** -term), 2))


def _asked(product: Product, base: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Amount and number of instalments that applicants ask for, [k] each."""
    amount = product.amount * base * np.exp(product.amount_spread * random.standard_normal(len(base)))
    term = np.array(product.terms)[random.integers(0, len(product.terms), len(base))]
    return np.clip(np.round(amount, -2), 500, 2_000_000), term


def _decide(
    agents: Agents,
    number: int,
    who: np.ndarray,
    lender: np.ndarray,
    amount: np.ndarray,
    income: np.ndarray,
    cutoffs: dict[int, float],
) -> np.ndarray:
    """Whom each lender takes, bool [a]: the best by its policy, with a cut-off that its first applicants set."""
    random = stream(agents.config, f"decisions {number}")
    noise, noticed = random.standard_normal(len(who)), random.random(len(who)) < agents.config.fraud.papers_caught
    thin = agents.creators.thin_file[who]
    approved = np.zeros(len(who), dtype=bool)
    for place, knobs in enumerate(agents.config.lending.lenders):
        policy = (
            np.where(thin, -knobs.thin_penalty, knobs.bureau_weight * agents.credit[who])
            - knobs.burden_weight * np.log(amount / income)
            + knobs.policy_noise * noise
        )
        here = lender == place
        if place not in cutoffs and here.any():
            cutoffs[place] = float(np.quantile(policy[here], 1 - knobs.approval_rate))
        approved[here] = policy[here] >= cutoffs.get(place, np.inf)
    return np.asarray(approved & ~(agents.frauds.papers_show[who] & noticed))


def add_service(
    agents: Agents, service: np.ndarray, who: np.ndarray, applied: np.ndarray, term: np.ndarray, instalment: np.ndarray
) -> None:
    """Add what granted loans [a] cost in each month to `service` [n, months]."""
    months = due_months(agents, applied)
    for period in range(1, PERIODS + 1):
        running = np.flatnonzero(term >= period)
        np.add.at(service, (who[running], months[running, period - 1]), instalment[running])
