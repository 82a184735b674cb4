"""Who the creators are: latents, platforms and what they look like to anybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sealscore.simulations.world.config import PLATFORM_PARTIES, WorldConfig
from sealscore.simulations.world.seeding import generator

REGIONS = ("east", "south", "central", "north", "southwest", "northwest", "northeast")
_REGION_SHARES = (0.29, 0.2, 0.16, 0.12, 0.11, 0.06, 0.06)
CATEGORIES = ("beauty", "fashion", "food", "home", "learning", "electronics", "outdoors", "pets", "other")
_CATEGORY_SHARES = (0.16, 0.19, 0.18, 0.11, 0.08, 0.07, 0.07, 0.05, 0.09)
GENDERS = ("female", "male", "other")


@dataclass(frozen=True)
class Creators:
    """One entry a creator, [n] each; latents are standard normal. `member` is [n, platforms]."""

    number: np.ndarray
    quality: np.ndarray
    stability: np.ndarray
    leverage: np.ndarray
    honesty: np.ndarray
    size: np.ndarray
    service: np.ndarray
    is_business: np.ndarray
    age: np.ndarray
    gender: np.ndarray
    region: np.ndarray
    category: np.ndarray
    thin_file: np.ndarray
    member: np.ndarray

    def __len__(self) -> int:
        return len(self.number)

    def on(self, party: str) -> np.ndarray:
        """Who is on a platform: indices, ascending."""
        return np.flatnonzero(self.member[:, PLATFORM_PARTIES.index(party)])


def stream(config: WorldConfig, purpose: str) -> np.random.Generator:
    """The random stream for a purpose of the world; no purpose moves another."""
    return generator(config.seed, f"world {purpose}")


def sigmoid(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-values))."""
    return np.asarray(1.0 / (1.0 + np.exp(-values)))


def logit(share: float) -> float:
    """The inverse of `sigmoid`."""
    return float(np.log(share / (1.0 - share)))


def top_share(scores: np.ndarray, share: float) -> np.ndarray:
    """Bool [n]: the given share of all, those with the highest scores."""
    found = np.zeros(len(scores), dtype=bool)
    found[np.argsort(-scores, kind="stable")[: round(share * len(scores))]] = True
    return found


def draw_creators(config: WorldConfig) -> Creators:
    """Draw all creators; their numbers are in random order, so that an id tells nothing."""
    n, latents = config.creators, config.latents
    four = stream(config, "latents").standard_normal((n, 4)) @ np.linalg.cholesky(latents.matrix()).T
    quality, stability, leverage, honesty = four.T
    own = stream(config, "size and service").standard_normal((2, n))
    size = latents.size_quality * quality + np.sqrt(1 - latents.size_quality**2) * own[0]
    # Honesty with its part in common with quality taken out.
    common = latents.channel_bureau
    rest = (honesty - common * quality) / np.sqrt(1 - common**2)
    left = np.sqrt(1 - latents.service_quality**2 - latents.service_honesty**2)
    service = latents.service_quality * quality + latents.service_honesty * rest + left * own[1]
    looks = stream(config, "looks")
    business = top_share(latents.business_size * size + looks.standard_normal(n), latents.business_share)
    age = np.clip(np.round(18 + looks.gamma(2.6, 5.2, n)), 18, 75).astype(np.int16)
    years = np.log(age - 14.0)
    young = -(years - years.mean()) / years.std()
    unknown = config.bureau.thin_young * young + stream(config, "thin files").standard_normal(n)
    thin = top_share(unknown, config.bureau.thin_share)
    return Creators(
        number=looks.permutation(n),
        quality=quality,
        stability=stability,
        leverage=leverage,
        honesty=honesty,
        size=size,
        service=service,
        is_business=business,
        age=age,
        gender=looks.choice(3, n, p=(0.53, 0.46, 0.01)),
        region=looks.choice(len(REGIONS), n, p=_REGION_SHARES),
        category=looks.choice(len(CATEGORIES), n, p=_CATEGORY_SHARES),
        thin_file=thin,
        member=_members(config, n),
    )


def _members(config: WorldConfig, n: int) -> np.ndarray:
    """Who is on which platform, bool [n, platforms]; everybody is on one at least."""
    shares = np.array([config.platforms.video_1, config.platforms.video_2, config.platforms.wallet])
    random = stream(config, "platforms")
    member = random.random((n, len(shares))) < shares
    fallback = random.choice(len(shares), n, p=shares / shares.sum())
    nowhere = ~member.any(axis=1)
    member[nowhere, fallback[nowhere]] = True
    return np.asarray(member)
