"""The business of each creator, month by month: the state, turnover and cash that all else shows traces of.

Cash and costs are in months of typical turnover, which itself grows at the creator's own rate; so the ratio of this
month's turnover to the typical one, `ratio`, is what moves cash:

    state[t+1] = persistence * state[t] + volatility * exp(-stability_effect * stability) * news - setback
    ratio[t]   = exp(state[t] + season[t] + drift[t] + shock[t])
    cash[t+1]  = min(reserve_cap, max(0, cash[t] + margin * ratio[t] - fixed_costs - older debts[t]))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.people.latent import Creators, stream


@dataclass(frozen=True)
class Business:
    """Float32 [n, months] each, but `typical` (turnover of a typical month at the start) and `growth`: float64 [n]."""

    state: np.ndarray
    ratio: np.ndarray
    cash: np.ndarray
    typical: np.ndarray
    growth: np.ndarray

    def turnover(self, who: np.ndarray, month: np.ndarray) -> np.ndarray:
        """Turnover of creators in months, in the currency: [k] for indices [k]."""
        scale = self.typical[who] * np.exp(self.growth[who] * month)
        return np.asarray(scale * self.ratio[who, month])


@dataclass(frozen=True)
class Rules:
    """What a creator's months follow, float64 [n] each but `path` [months], `shock` [months] and `debt` [months]."""

    persistence: float
    volatility: np.ndarray
    setback_rate: np.ndarray
    setback_size: float
    exposure: np.ndarray
    margin: np.ndarray
    fixed_costs: float
    debt_service: np.ndarray
    path: np.ndarray
    shock: np.ndarray
    debt: np.ndarray
    reserve_cap: float

    @classmethod
    def of(cls, config: WorldConfig, creators: Creators) -> Rules:
        """The rules of a world for its creators."""
        business, economy = config.business, config.economy
        months = np.arange(config.calendar.months)
        shock = np.zeros(len(months))
        if economy.shock_month is not None:
            since = months[economy.shock_month :] - economy.shock_month
            shock[economy.shock_month :] = -economy.shock_size * economy.shock_recovery**since
        calm = creators.stability + creators.quality
        return cls(
            persistence=business.persistence,
            volatility=business.volatility * np.exp(-business.stability_effect * creators.stability),
            setback_rate=np.minimum(0.5, business.setback_rate * np.exp(-business.setback_effect * calm)),
            setback_size=business.setback_size,
            exposure=np.maximum(0.0, 1 - economy.shock_stability * creators.stability),
            margin=np.maximum(0.02, business.margin + business.margin_quality * creators.quality),
            fixed_costs=business.fixed_costs,
            debt_service=business.debt_service * np.exp(business.leverage_effect * creators.leverage),
            path=seasons(config) + economy.drift_turnover * months / 12,
            shock=shock,
            debt=np.exp(economy.drift_debt * months / 12),
            reserve_cap=business.reserve_cap,
        )

    def next_state(self, state: np.ndarray, random: np.random.Generator, who: np.ndarray | slice) -> np.ndarray:
        """The states [k] of creators a month later."""
        news = self.volatility[who] * random.standard_normal(len(state), dtype=np.float32)
        fallen = random.random(len(state), dtype=np.float32) < self.setback_rate[who]
        return np.asarray(self.persistence * state + news - self.setback_size * fallen)

    def ratio(self, state: np.ndarray, who: np.ndarray | slice, month: np.ndarray | int) -> np.ndarray:
        """Turnover over the typical one in a month, [k]."""
        return np.asarray(np.exp(state + self.path[month] + self.shock[month] * self.exposure[who]))

    def surplus(self, ratio: np.ndarray, who: np.ndarray | slice, month: np.ndarray | int) -> np.ndarray:
        """What a month leaves after costs and older debts, [k]."""
        return np.asarray(self.margin[who] * ratio - self.fixed_costs - self.debt_service[who] * self.debt[month])

    def keep(self, cash: np.ndarray) -> np.ndarray:
        """Cash that stays: never below 0, and what is above the cap is drawn out."""
        return np.asarray(np.clip(cash, 0.0, self.reserve_cap))


def seasons(config: WorldConfig) -> np.ndarray:
    """The log effect of the calendar month on turnover, float64 [months]."""
    months = np.arange(config.calendar.months)
    return np.array(config.economy.season)[(config.calendar.start.month - 1 + months) % 12]


def draw_business(config: WorldConfig, creators: Creators, rules: Rules) -> Business:
    """All creators through all months. The first state is drawn from the stationary distribution without setbacks."""
    knobs, n, months = config.business, len(creators), config.calendar.months
    random = stream(config, "business")
    state, ratio, cash = (np.empty((months, n), dtype=np.float32) for _ in range(3))
    now = random.standard_normal(n) * rules.volatility / np.sqrt(1 - knobs.persistence**2)
    held = rules.keep(
        knobs.reserve * np.exp(-knobs.reserve_leverage * creators.leverage + 0.5 * random.standard_normal(n))
    )
    everyone = slice(None)
    for month in range(months):
        state[month] = now
        ratio[month] = rules.ratio(now, everyone, month)
        cash[month] = held
        held = rules.keep(held + rules.surplus(ratio[month], everyone, month))
        now = rules.next_state(now, random, everyone)
    logs = np.log(knobs.typical_turnover) + knobs.size_effect * creators.size + knobs.quality_effect * creators.quality
    growth = knobs.growth + knobs.growth_quality * creators.quality
    return Business(
        state=np.ascontiguousarray(state.T),
        ratio=np.ascontiguousarray(ratio.T),
        cash=np.ascontiguousarray(cash.T),
        typical=np.exp(logs),
        growth=growth + knobs.growth_spread * stream(config, "growth").standard_normal(n),
    )
