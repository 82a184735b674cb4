"""How early the lists of a life warned: of how many loans that turn bad, a month or more before 30 days past due?

Counted are loans of which it is known by the life's last day whether they turned bad. A loan is flagged where it was on
a list while nothing was in arrears and it was not 30 days past due yet: from then on a lender knows by itself.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from sealscore.clients.warning.borrowers import SCORED, WATCHED
from sealscore.simulations.life.events.warnings import LISTS, POINTS
from sealscore.simulations.life.outcomes import BAD_KNOWN

AHEAD = 30
"""Days before 30 days past due at which a warning is in time."""
EVER = {LISTS: 0.13, POINTS: 0.17}
"""Up to which rank the beginning of a list flags at most a fifth of all loans ever: chosen on a life of seed 100."""
_LATE = pl.duration(days=30)


def days_past_30(repayments: pl.DataFrame) -> pl.DataFrame:
    """`application_id` and `day30`, the first day on which a loan is 30 days past due; of those that ever are."""
    open_too_long = pl.col("paid_at").is_null() | (pl.col("paid_at") > pl.col("due_at") + _LATE)
    late = repayments.filter(open_too_long).group_by("application_id").agg(pl.col("due_at").min() + _LATE)
    return late.rename({"due_at": "day30"})


def early_figures(
    loans: pl.DataFrame, repayments: pl.DataFrame, warnings: pl.DataFrame, bits: pl.DataFrame, last: date
) -> dict[str, Any]:
    """Figures of all loans, and of those with a watch bit, by paths of loans and repayments and by what was listed.

    `rule` is of the lists, `score` of those by points alone, which a lender can make without any platform; `rule_ever`
    and `score_ever` of their beginnings up to the ranks of EVER. `bit` is of all bits that are 1, whatever lists make
    of them.
    """
    known = loans.filter(pl.col("applied_at") + BAD_KNOWN <= last).select("application_id", "bad")
    known = known.join(days_past_30(repayments), on="application_id", how="left")
    quiet = warnings.filter(pl.col("priority").is_in([WATCHED, SCORED]))
    of = {"bit": bits.filter(pl.col("value") == 1)}
    for name, which in (("rule", LISTS), ("score", POINTS)):
        of[name] = quiet.filter(pl.col("list") == which)
        of[f"{name}_ever"] = of[name].filter(pl.col("rank") <= EVER[which])
    watched = set(bits["application_id"])
    found: dict[str, Any] = {name: _flagged(known, rows) for name, rows in of.items()}
    some = known.filter(pl.col("application_id").is_in(watched))
    found["watched"] = {name: _flagged(some, rows) for name, rows in of.items()}
    useful = _before(known, bits)
    found["bits"] = {"told": useful.height, "ones": _share(int(useful["value"].sum()), useful.height)}
    return found


def _before(known: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of these loans from before they were 30 days past due."""
    joined = rows.join(known, on="application_id")
    return joined.filter(pl.col("day30").is_null() | (pl.col("day") < pl.col("day30")))


def _flagged(known: pl.DataFrame, rows: pl.DataFrame) -> dict[str, Any]:
    first = _before(known, rows).group_by("application_id").agg(pl.col("day").min(), pl.col("day30", "bad").first())
    bad = int(known["bad"].sum())
    in_time = first.filter(pl.col("bad") & (pl.col("day") + pl.duration(days=AHEAD) <= pl.col("day30")))
    lead = (in_time["day30"] - in_time["day"]).dt.total_days()
    flagged, flagged_bad = first.height, int(first["bad"].sum())
    return {
        "loans": known.height,
        "bad": bad,
        "flagged": _share(flagged, known.height),
        "caught": _share(in_time.height, bad),
        "bad_rate_flagged": _share(flagged_bad, flagged),
        "bad_rate_others": _share(bad - flagged_bad, known.height - flagged),
        "lead": None if in_time.is_empty() else float(lead.median()),  # type: ignore[arg-type]
    }


def _share(count: int, of: int) -> float | None:
    return count / of if of else None
