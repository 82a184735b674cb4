"""The agents of a world and what moves them, before any table is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.people.business import Business, Rules, draw_business
from sealscore.simulations.world.people.fraud import Frauds, draw_frauds
from sealscore.simulations.world.people.latent import Creators, draw_creators, stream
from sealscore.simulations.world.people.timeline import Timeline, draw_timeline


@dataclass(frozen=True)
class Agents:
    """Creators with all that is true of them; `credit` is the bureau's noisy view of each, standard normal [n]."""

    config: WorldConfig
    creators: Creators
    frauds: Frauds
    timeline: Timeline
    rules: Rules
    business: Business
    credit: np.ndarray


def draw_agents(config: WorldConfig) -> Agents:
    """Draw the agents of a world and live their months."""
    creators = draw_creators(config)
    rules = Rules.of(config, creators)
    return Agents(
        config=config,
        creators=creators,
        frauds=draw_frauds(config, creators),
        timeline=draw_timeline(config, creators),
        rules=rules,
        business=draw_business(config, creators, rules),
        credit=draw_credit(config, creators),
    )


def draw_credit(config: WorldConfig, creators: Creators) -> np.ndarray:
    """The bureau's view of each creator, brought to mean 0 and standard deviation 1, float64 [n]."""
    knobs = config.bureau
    view = (
        -knobs.score_leverage * creators.leverage
        + knobs.score_honesty * creators.honesty
        + knobs.score_stability * creators.stability
        + knobs.score_noise * stream(config, "bureau view").standard_normal(len(creators))
    )
    spread = view.std()
    return np.asarray((view - view.mean()) / (spread if spread > 0 else 1.0))
