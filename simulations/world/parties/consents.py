"""Consents: which creator lets which platform tell which lender, from the day of an application on, and who agrees to
sums over all parties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from sealscore.simulations.world.config import PLATFORM_PARTIES
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.latent import stream
from sealscore.simulations.world.people.lending import Loans
from sealscore.simulations.world.tables import days

PURPOSE = "credit-scoring"
FEDERATION = "federation"
"""The recipient of what a record adds to sums over all parties."""
_OTHER, _OTHER_RECIPIENT, _OTHER_SHARE = "advertising", "ad-partner", 0.1


@dataclass(frozen=True)
class WorldConsents:
    """Of each application, [a, platforms + 1]: whether there is a consent, and `expires` and `withdrawn` of it.

    The last column is the consent to sums, which has no end of its own. A consent starts on the day of the application.
    Without an end, or not withdrawn, it has NaT there.
    """

    given: np.ndarray
    expires: np.ndarray
    withdrawn: np.ndarray


def draw_consents(agents: Agents, loans: Loans) -> WorldConsents:
    """Consents to the platforms on which an applicant is, and to the federation."""
    knobs = agents.config.platforms
    random = stream(agents.config, "consents")
    shape = (len(loans), len(PLATFORM_PARTIES) + 1)
    member = np.pad(agents.creators.member[loans.who], ((0, 0), (0, 1)), constant_values=True)
    shares = np.array([knobs.consent] * len(PLATFORM_PARTIES) + [knobs.federation])
    given = member & (random.random(shape) < shares)
    ends, back = random.random(shape) < 0.5, random.random(shape) < knobs.withdrawn
    ends[:, -1] = False
    after = random.integers(10, 300, shape).astype("timedelta64[D]")
    never, applied = np.datetime64("NaT", "D"), loans.applied[:, None]
    return WorldConsents(
        given=given,
        expires=np.where(ends, applied + np.timedelta64(730, "D"), never),
        withdrawn=np.where(back, applied + after, never),
    )


def platform_rows(agents: Agents, loans: Loans, consents: WorldConsents, party: str, ids: pl.Series) -> pl.DataFrame:
    """The consents that a platform holds, to lenders, to sums and some for another purpose; `ids` [n] of creators."""
    place = PLATFORM_PARTIES.index(party)
    at = np.flatnonzero(consents.given[:, place])
    names = pl.Series([lender.name for lender in agents.config.lending.lenders], dtype=pl.String)
    rows = _rows(agents, loans, consents, at, place, names.gather(loans.lender[at]), ids)
    summed = _federated(agents, loans, consents, consents.given[:, place], ids)
    random = stream(agents.config, f"other consents {party}")
    members = agents.creators.on(party)
    others = members[random.random(len(members)) < _OTHER_SHARE]
    day = agents.timeline.first_day[others] - random.integers(0, 200, len(others)).astype("timedelta64[D]")
    more = pl.DataFrame(
        {
            "creator_id": ids.gather(others),
            "purpose": pl.repeat(_OTHER, len(others), eager=True),
            "recipient": pl.repeat(_OTHER_RECIPIENT, len(others), eager=True),
            "given_at": days(day),
            "expires": pl.repeat(None, len(others), dtype=pl.Date, eager=True),
            "withdrawn_at": pl.repeat(None, len(others), dtype=pl.Date, eager=True),
        }
    )
    return pl.concat([rows, summed, more]).sort("given_at", "creator_id", "recipient")


def lender_rows(agents: Agents, loans: Loans, consents: WorldConsents, lender: int, ids: pl.Series) -> pl.DataFrame:
    """The consents that a lender holds, one for each platform that an applicant named, and those to sums."""
    frames = [_federated(agents, loans, consents, loans.lender == lender, ids)]
    for place, party in enumerate(PLATFORM_PARTIES):
        at = np.flatnonzero(consents.given[:, place] & (loans.lender == lender))
        frames.append(_rows(agents, loans, consents, at, place, pl.repeat(party, len(at), eager=True), ids))
    return pl.concat(frames).sort("given_at", "creator_id", "recipient")


def _federated(agents: Agents, loans: Loans, consents: WorldConsents, of: np.ndarray, ids: pl.Series) -> pl.DataFrame:
    """The consents to sums of applications `of`, bool [a]."""
    place = len(PLATFORM_PARTIES)
    at = np.flatnonzero(consents.given[:, place] & of)
    return _rows(agents, loans, consents, at, place, pl.repeat(FEDERATION, len(at), eager=True), ids)


def _rows(
    agents: Agents,
    loans: Loans,
    consents: WorldConsents,
    at: np.ndarray,
    place: int,
    recipient: pl.Series,
    ids: pl.Series,
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "creator_id": ids.gather(loans.who[at]),
            "purpose": pl.repeat(PURPOSE, len(at), eager=True),
            "recipient": recipient,
            "given_at": days(loans.applied[at]),
            "expires": days(consents.expires[at, place]),
            "withdrawn_at": days(consents.withdrawn[at, place]),
        }
    )
