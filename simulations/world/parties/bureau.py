"""What the credit bureau knows: a noisy view of leverage and honesty, and nothing of many."""

from __future__ import annotations

import numpy as np
import polars as pl

from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.latent import stream
from sealscore.simulations.world.tables import days


def bureau_rows(agents: Agents, who: np.ndarray, as_of: np.ndarray, ids: pl.Series) -> tuple[pl.DataFrame, np.ndarray]:
    """What the bureau knows at the end of days `as_of`, of creators `who`, [a] each; `ids` [n] are those of creators.

    Returns: a row for each application, and whether the bureau knows the person at all, bool [a].
    """
    a, creators, knobs = len(who), agents.creators, agents.config.bureau
    random = stream(agents.config, "bureau rows")
    noise = random.standard_normal((4, a))
    thin = creators.thin_file[who]
    older = np.maximum(1.0, (creators.age[who] - 19) * 12.0)
    # The first entry of a file is of one day, whoever asks when.
    begun = stream(agents.config, "first entries of files").beta(1.3, 2.5, len(creators))[who]
    since = (as_of - agents.timeline.first_day[who]).astype(np.int64) / 30.44
    months = np.where(thin, random.integers(0, 9, a), 9 + np.floor(older * begun + np.maximum(0, since)))
    accounts = np.where(thin, random.integers(0, 2, a), 1 + random.poisson(np.exp(0.9 + 0.5 * noise[0])))
    leverage, honesty = creators.leverage[who], creators.honesty[who]
    used = np.minimum(2.0, np.exp(-1.1 + knobs.utilisation_leverage * leverage + 0.5 * noise[1]))
    strain = knobs.late_leverage * leverage - knobs.late_honesty * honesty
    late = random.poisson(np.exp(-1.0 + strain + 0.4 * noise[2]))
    search = knobs.inquiries_leverage * leverage - knobs.inquiries_honesty * honesty
    asked = random.poisson(np.exp(0.1 + search + 0.4 * noise[3]))
    score = np.clip(np.round(640 + 60 * agents.credit[who] + 8 * random.standard_normal(a)), 300, 850)
    rows = pl.DataFrame(
        {
            "creator_id": ids.gather(who),
            "as_of": days(as_of),
            "score": pl.Series(np.where(thin, np.nan, score)).fill_nan(None),
            "months_on_file": months.astype(np.int64),
            "open_accounts": accounts,
            "utilisation": pl.Series(np.where(accounts > 0, used, np.nan)).fill_nan(None),
            "late_24m": np.where(thin, np.minimum(late, accounts), np.minimum(late, 24)),
            "inquiries_6m": np.minimum(asked, 50),
        }
    )
    unknown = stream(agents.config, "files without a row").random(len(creators)) < knobs.thin_no_row
    return rows, ~(thin & unknown[who])
