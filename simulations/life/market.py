"""Who applies for what, day by day, and what becomes of a loan: all that depends on the world and not on a score.

The world's own code draws people, applications and repayment; decisions come from outside, and weigh on what follows:
the service of granted loans, and where people go next.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from sealscore.simulations.life.config import LifeConfig
from sealscore.simulations.world.config import PERIODS
from sealscore.simulations.world.people.agents import Agents, draw_agents
from sealscore.simulations.world.people.latent import stream
from sealscore.simulations.world.people.lending import (
    MOST,
    PRODUCTS,
    Loans,
    add_service,
    draw_asked,
    instalments,
    lender_order,
    would_return,
)
from sealscore.simulations.world.people.repayment import NEVER, PERIOD_DAYS, Borrowers, borrowers, lived, true_pd

UNLIVED = ("earlier_loans", "late_instalment_share", "worst_days_late")
"""Columns of a lender's table that count its own earlier loans: empty where the life's features are built, which is
before anything is decided. They enter no score."""


@dataclass(frozen=True)
class Filed:
    """All applications of a life, [a] each, by day. `product` names one of the policy's products."""

    who: np.ndarray
    number: np.ndarray
    applied: np.ndarray
    kind: np.ndarray
    product: np.ndarray
    amount: np.ndarray
    term: np.ndarray
    declared_income: np.ndarray
    returns: np.ndarray

    def __len__(self) -> int:
        return len(self.who)


@dataclass(frozen=True)
class LoanPath:
    """A loan as it would go: what falls due each period, the period in which each instalment is paid, and whether it
    turns bad.
    """

    instalment: float
    paid_in: np.ndarray
    bad: bool


@dataclass(frozen=True)
class _Running:
    """A loan that was granted: at which lender, the day of its last instalment, and what falls due each period."""

    lender: int
    last: np.datetime64
    instalment: float


def living_agents(config: LifeConfig) -> tuple[Agents, np.ndarray]:
    """The agents of a life with the fraud wave in them, and who belongs to it, bool [n]."""
    agents = draw_agents(config.world())
    people, wave = agents.creators, config.wave
    first = agents.timeline.month_of(agents.timeline.first_day) - agents.config.calendar.history_months
    comes = (agents.timeline.applications > 0) & (first >= wave.month) & (first < wave.month + wave.months)
    random = stream(agents.config, "fraud wave")
    ring = comes & (random.random(len(people)) < wave.share)
    shows = random.random(len(people)) < agents.config.fraud.papers_show
    frauds = agents.frauds
    seen = people.member[:, :2].any(axis=1)
    changed = replace(
        frauds,
        buys_traffic=frauds.buys_traffic | (ring & seen),
        false_identity=frauds.false_identity | ring,
        papers_show=np.where(ring, shows, frauds.papers_show),
    )
    return replace(agents, frauds=changed), ring


def draw_filed(config: LifeConfig, agents: Agents) -> Filed:
    """The applications of all numbers, sorted by day; the product by the world's kind and the life's shares."""
    parts = []
    for number in range(MOST):
        who, applied = agents.timeline.application_days(number)
        asked = draw_asked(agents, number, who, applied)
        back = would_return(agents, number)
        parts.append((who, np.full(len(who), number), applied, asked, back))
    who, numbers, applied = (np.concatenate([part[place] for part in parts]) for place in range(3))
    kind, amount, term, income = (
        np.concatenate([getattr(part[3], name) for part in parts])
        for name in ("product", "amount", "term", "declared_income")
    )
    returns = np.concatenate([part[4] for part in parts])
    chance = stream(agents.config, "products of the policy").random(len(who))
    names = np.array(PRODUCTS, dtype=object)[kind]
    names[(kind == 1) & (chance < config.products.consumer)] = "consumer"
    names[(kind == 0) & (chance < config.products.invoices)] = "invoices"
    order = np.lexsort((numbers, who, applied))
    columns = (who, numbers, applied, kind, names, amount, term, income, returns)
    return Filed(*(values[order] for values in columns))


def ungranted(filed: Filed) -> Loans:
    """The applications as the world writes them, all at one lender, none decided: for features but UNLIVED."""
    a = len(filed)
    return Loans(
        who=filed.who,
        number=filed.number,
        lender=np.zeros(a, dtype=np.int64),
        applied=filed.applied,
        product=filed.kind,
        amount=filed.amount,
        term=filed.term,
        instalment=filed.amount / filed.term,
        declared_income=filed.declared_income,
        approved=np.zeros(a, dtype=bool),
        paid_in=np.full((a, PERIODS), NEVER),
        bad=np.zeros(a, dtype=bool),
        pd=np.full(a, np.nan),
    )


class Market:
    """Applicants and borrowers of a life as days pass; applications are named by their place in `filed`."""

    def __init__(self, agents: Agents, filed: Filed) -> None:
        self.agents, self.filed = agents, filed
        n, months = len(agents.creators), agents.config.calendar.months
        self._order = lender_order(agents)
        self._service = np.zeros((n, months))
        self._running: defaultdict[int, list[_Running]] = defaultdict(list)
        self._asked, self._last = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._granted = np.zeros(n, dtype=bool)
        self._known_debt = np.exp(0.2 * stream(agents.config, "debts as lenders see them").standard_normal(n))
        self.order: list[int] = []
        """The places of applications in the order in which they came."""
        self._futures: list[Borrowers] = []

    def lender(self, at: int) -> int:
        """The lender to which an application goes: asked once, when it is filed."""
        who = self.filed.who[at]
        back = bool(self._granted[who] and self.filed.returns[at])
        found = self._last[who] if back else self._order[who, min(self._asked[who], self._order.shape[1] - 1)]
        self._asked[who] += not back
        self._last[who], self._granted[who] = found, False
        return int(found)

    def path(self, at: int, lender: int, amount: float) -> LoanPath:
        """What becomes of a loan of that amount; the same chance whatever the amount, so that amounts compare."""
        instalment, loan = self._loan(at, lender, amount)
        paid_in, bad = lived(self.agents, loan, stream(self.agents.config, f"life repayment {at}"))
        return LoanPath(instalment, paid_in[0], bool(bad[0]))

    def keep_future(self, at: int, lender: int) -> None:
        """Remember where an applicant stands today, for the true PD of what is asked for."""
        self.order.append(at)
        self._futures.append(self._loan(at, lender, float(self.filed.amount[at]))[1])

    def true_pds(self) -> np.ndarray:
        """The share of bad futures of each application, by `order`, [a]; NaN where none are drawn."""
        knobs = self.agents.config.lending
        if not knobs.pd_rollouts or not self._futures:
            return np.full(len(self._futures), np.nan)
        names = ("who", "months", "due", "others", "term", "stop", "cash", "paid", "stopped", "bad")
        joined = {name: np.concatenate([getattr(one, name) for one in self._futures]) for name in names}
        loans = Borrowers(rules=self.agents.rules, arrears_factor=knobs.walk_away_arrears, **joined)
        applied = self.filed.applied[np.array(self.order)]
        return true_pd(self.agents, loans, applied, stream(self.agents.config, "life futures"))

    def grant(self, at: int, lender: int, instalment: float) -> None:
        """A loan starts: its instalments weigh on what the person can pay, and it goes back to this lender sooner."""
        one = slice(at, at + 1)
        who, applied, term = self.filed.who[one], self.filed.applied[one], self.filed.term[one]
        due = np.array([instalment])
        add_service(self.agents, self._service, who, applied, term, due)
        last = applied[0] + np.timedelta64(PERIOD_DAYS * int(term[0]), "D")
        self._running[int(who[0])].append(_Running(lender, last, instalment))
        if self._last[who[0]] == lender:
            self._granted[who[0]] = True

    def known_debt(self, at: int, lender: int) -> float:
        """Instalments a month as the lender knows them: older debts as its bureau sees them, and its own loans.

        Of a thin file the bureau sees half of them, and nobody sees loans of other lenders.
        """
        who, month = self.filed.who[at], self._month(at)
        seen = self._known_debt[who] * (0.5 if self.agents.creators.thin_file[who] else 1.0)
        own = sum(one.instalment for one in self._owes(at) if one.lender == lender)
        return float(self._older_debt(who, month) * seen + own)

    def owed(self, at: int) -> float:
        """Instalments a month that an applicant truly owes: older debts, and loans of this life at any lender."""
        who, month = self.filed.who[at], self._month(at)
        return float(self._older_debt(who, month) + sum(one.instalment for one in self._owes(at)))

    def income(self, at: int) -> float:
        """The true income of the month: turnover less the cost of goods."""
        return float(self.agents.rules.margin[self.filed.who[at]]) * self.turnover(at)

    def turnover(self, at: int) -> float:
        """The month's turnover of an applicant."""
        found = self.agents.business.turnover(self.filed.who[at : at + 1], np.array([self._month(at)]))
        return float(found[0])

    def _owes(self, at: int) -> list[_Running]:
        """Loans of which an instalment is still to fall due after an application: one a period each."""
        return [one for one in self._running[int(self.filed.who[at])] if one.last > self.filed.applied[at]]

    def _month(self, at: int) -> int:
        return int(self.agents.timeline.month_of(self.filed.applied[at : at + 1])[0])

    def _older_debt(self, who: int, month: int) -> float:
        business, rules = self.agents.business, self.agents.rules
        typical = business.typical[who] * np.exp(business.growth[who] * month)
        return float(rules.debt_service[who] * rules.debt[month] * typical)

    def _loan(self, at: int, lender: int, amount: float) -> tuple[float, Borrowers]:
        one = slice(at, at + 1)
        who, applied, term = self.filed.who[one], self.filed.applied[one], self.filed.term[one]
        due = instalments(self.agents, np.array([lender]), np.array([amount]), term)
        return float(due[0]), borrowers(self.agents, who, applied, due, term, self._service)
