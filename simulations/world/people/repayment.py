"""Loans paid back out of cash, period by period.

A loan is paid back in instalments every 30 days, so an instalment that is still open three instalments later is 90
days past due. In each period, with cash in months of typical turnover:

    stops for good with chance walk_away * exp(-walk_away_honesty * honesty), more in arrears or under a false identity
    pays as many open instalments, the oldest first, as cash + surplus covers, and none after stopping
    bad: an instalment 90 days past due at most 12 periods (360 days) after the application
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sealscore.simulations.world.config import PERIODS
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.business import Rules

PERIOD_DAYS = 30
LATE = 3
"""Periods after which an open instalment is 90 days past due."""
WINDOW = 12
"""Periods within which that makes a loan bad."""
NEVER = 99


@dataclass
class Borrowers:
    """Loans on their way, [a] each, over the typical turnover of the month in question where they are money.

    `due` and `others` (instalments of loans granted before) are [a, PERIODS], `months` the month of each period.
    """

    rules: Rules
    who: np.ndarray
    months: np.ndarray
    due: np.ndarray
    others: np.ndarray
    term: np.ndarray
    stop: np.ndarray
    arrears_factor: float
    cash: np.ndarray
    paid: np.ndarray
    stopped: np.ndarray
    bad: np.ndarray

    def fresh(self) -> Borrowers:
        """The same loans, for another future."""
        return replace(
            self, cash=self.cash.copy(), paid=self.paid.copy(), stopped=self.stopped.copy(), bad=self.bad.copy()
        )

    def take(self, period: int, ratio: np.ndarray, chance: np.ndarray) -> np.ndarray:
        """Live one period (from 1): how many instalments each borrower pays in it, [a]. `chance` is uniform [a]."""
        if period <= WINDOW:
            self.bad |= self.paid < np.minimum(period - LATE, self.term)
        owed = np.minimum(period, self.term) - self.paid
        self.stopped |= chance < self.stop * np.where(owed > 1, self.arrears_factor, 1.0)
        surplus = self.rules.surplus(ratio, self.who, self.months[:, period - 1])
        cash = np.maximum(0.0, self.cash + surplus - self.others[:, period - 1])
        due = self.due[:, period - 1]
        paying = np.where(self.stopped, 0, np.minimum(owed, np.floor(cash / due))).astype(np.int64)
        self.cash = self.rules.keep(cash - paying * due)
        self.paid += paying
        return paying


def due_months(agents: Agents, applied: np.ndarray) -> np.ndarray:
    """The month in which each period's instalment of loans applied for on days [a] falls due, int64 [a, PERIODS]."""
    due = applied[:, None] + (PERIOD_DAYS * np.arange(1, PERIODS + 1)).astype("timedelta64[D]")
    return agents.timeline.month_of(due)


def borrowers(
    agents: Agents,
    who: np.ndarray,
    applied: np.ndarray,
    instalment: np.ndarray,
    term: np.ndarray,
    service: np.ndarray,
) -> Borrowers:
    """Loans of creators `who` before their first period; `service` [n, months] is what they owe on others, in money."""
    knobs, business = agents.config.lending, agents.business
    months = due_months(agents, applied)
    typical = business.typical[who, None] * np.exp(business.growth[who, None] * months)
    stop = knobs.walk_away * np.exp(-knobs.walk_away_honesty * agents.creators.honesty[who])
    return Borrowers(
        rules=agents.rules,
        who=who,
        months=months,
        due=instalment[:, None] / typical,
        others=service[who[:, None], months] / typical,
        term=term,
        stop=np.where(agents.frauds.false_identity[who], knobs.walk_away_false, stop),
        arrears_factor=knobs.walk_away_arrears,
        cash=business.cash[who, agents.timeline.month_of(applied) + 1].astype(np.float64),
        paid=np.zeros(len(who), dtype=np.int64),
        stopped=np.zeros(len(who), dtype=bool),
        bad=np.zeros(len(who), dtype=bool),
    )


def lived(agents: Agents, loans: Borrowers, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Repayment along the months that the world has.

    Returns: the period in which each instalment is paid, [a, PERIODS] (NEVER if it is not); and who turns bad, [a].
    """
    run = loans.fresh()
    paid_in = np.full(run.due.shape, NEVER)
    places = np.arange(PERIODS)
    for period in range(1, PERIODS + 1):
        before = run.paid.copy()
        ratio = agents.business.ratio[run.who, run.months[:, period - 1]]
        paying = run.take(period, ratio, random.random(len(run.who)))
        paid_in[(places >= before[:, None]) & (places < (before + paying)[:, None])] = period
    return paid_in, run.bad


def true_pd(agents: Agents, loans: Borrowers, applied: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The share of bad futures, [a]: state and cash begin as they are, the creator's news is drawn again.

    The economy's path is held. The standard error is sqrt(pd (1 - pd) / pd_rollouts).
    """
    rollouts = agents.config.lending.pd_rollouts
    first = agents.timeline.month_of(applied)
    steps = np.diff(loans.months, axis=1, prepend=first[:, None])
    bad = np.zeros(len(first))
    for _ in range(rollouts):
        run = loans.fresh()
        state = agents.business.state[run.who, first].astype(np.float64)
        for period in range(1, WINDOW + 1):
            # 30 days lead into the next month, seldom into the same one or past February.
            for more in range(int(steps[:, period - 1].max(initial=0))):
                moving = np.flatnonzero(steps[:, period - 1] > more)
                state[moving] = agents.rules.next_state(state[moving], random, run.who[moving])
            ratio = agents.rules.ratio(state, run.who, run.months[:, period - 1])
            run.take(period, ratio, random.random(len(state)))
        bad += run.bad
    return bad / rollouts
