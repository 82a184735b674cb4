"""Identity and licence records that come with an application, true ones and false ones.

Numbers have the form and the check characters of Chinese resident identity numbers (ISO 7064, MOD 11-2) and of unified
social credit codes (GB 32100), with region codes 99xxxx, which are given to nobody. Names are parts drawn at random.
A false paper that shows has one fault of its kind; true papers slip now and then, harmlessly.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.latent import stream
from sealscore.simulations.world.people.lending import Loans
from sealscore.simulations.world.tables import days, levels

STATUSES = ("active", "revoked", "none")
IDENTITY_FAULTS = ("check", "names", "expired", "age")
LICENCE_FAULTS = ("check", "revoked", "expired", "late")
_SLIPS = ("names", "expired")
_SURNAMES = tuple("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧")
_GIVEN = tuple("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉力玉红建国华欣雨晨宇佳思雪梅")
_TRADES = ("百货商行", "服饰店", "食品经营部", "文化工作室", "日用品店", "电子商务商行", "化妆品店", "农产品经营部")
_CODE = np.array(list("0123456789ABCDEFGHJKLMNPQRTUWXY"))
_ID_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
_ID_CHECKS = np.array(list("10X98765432"))
_CODE_WEIGHTS = 3 ** np.arange(17) % 31


def id_numbers(born: np.ndarray, region: np.ndarray, sequence: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Identity numbers [k] of persons born on days [k]; `wrong` ones [k] have another check character."""
    months = born.astype("datetime64[M]")
    count = months.astype(np.int64)
    day = (born - months.astype("datetime64[D]")).astype(np.int64) + 1
    parts = ((990_001 + region * 100, 6), (1970 + count // 12, 4), (count % 12 + 1, 2), (day, 2), (sequence, 3))
    digits = np.concatenate([_digits(values, width) for values, width in parts], axis=1)
    check = _ID_CHECKS[(digits @ _ID_WEIGHTS + wrong) % 11]
    return _joined(np.column_stack([digits.astype("U1"), check]))


def licence_numbers(serial: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Unified social credit codes [k] of individual businesses; `wrong` ones [k] have another check character."""
    head = np.tile([9, 2, 9, 9, 0, 0, 0, 1], (len(serial), 1))
    tail = np.stack([serial // 31**place % 31 for place in range(8, -1, -1)], axis=1)
    values = np.concatenate([head, tail], axis=1)
    check = (31 - values @ _CODE_WEIGHTS % 31 + wrong) % 31
    return _joined(_CODE[np.column_stack([values, check])])


def _digits(values: np.ndarray, width: int) -> np.ndarray:
    return np.stack([values // 10**place % 10 for place in range(width - 1, -1, -1)], axis=1)


def _joined(letters: np.ndarray) -> np.ndarray:
    """Rows of single letters [k, m] as texts [k]."""
    letters = np.ascontiguousarray(letters.astype("U1"))
    return letters.view(f"U{letters.shape[1]}").ravel()


def birth_days(agents: Agents) -> np.ndarray:
    """The day on which each creator was born, [n]: they have their age at the first application."""
    since = agents.creators.age * 365.25 + stream(agents.config, "birthdays").integers(1, 364, len(agents.creators))
    return np.asarray(agents.timeline.first_day - since.astype("timedelta64[D]"))


def identity_rows(agents: Agents, loans: Loans, ids: pl.Series) -> pl.DataFrame:
    """The papers of all applications; those of one person are the same each time."""
    creators, n, who = agents.creators, len(agents.creators), loans.who
    random = stream(agents.config, "identities")
    faults = _faults(agents, "identity", agents.frauds.false_identity, IDENTITY_FAULTS)
    born = birth_days(agents) + np.where(faults["age"], random.integers(1100, 4000, n), 0).astype("timedelta64[D]")
    numbers = pl.Series(id_numbers(born, creators.region, random.integers(0, 1000, n), faults["check"]))
    names = (
        levels(_SURNAMES, random.integers(0, len(_SURNAMES), n))
        + levels(_GIVEN, random.integers(0, len(_GIVEN), n))
        + levels(("", *_GIVEN), random.integers(0, len(_GIVEN) + 1, n))
    )
    account = names.gather(np.where(faults["names"], random.permutation(n), np.arange(n)))
    first = agents.timeline.first_day
    issued = first - random.integers(30, 3000, n).astype("timedelta64[D]")
    expired = first - random.integers(5, 300, n).astype("timedelta64[D]")
    issued = np.where(faults["expired"], expired - np.timedelta64(3652, "D"), issued)
    identities = pl.DataFrame(
        {
            "id_number": numbers,
            "name_on_id": names,
            "name_on_account": account,
            "id_issued": days(issued),
            "id_expires": days(issued + np.timedelta64(3652, "D")),
        }
    )
    persons = identities.hstack(_licences(agents, names))
    return persons[who].insert_column(0, ids.alias("application_id"))


def _licences(agents: Agents, names: pl.Series) -> pl.DataFrame:
    """The licences of all creators, null for individuals."""
    creators, n = agents.creators, len(agents.creators)
    random = stream(agents.config, "licences")
    faults = _faults(agents, "licence", agents.frauds.false_licence, LICENCE_FAULTS)
    first = agents.timeline.first_day
    registered = first - random.integers(60, 3000, n).astype("timedelta64[D]")
    # Taken out after the application that it came with.
    registered = np.where(faults["late"], first + random.integers(1, 60, n).astype("timedelta64[D]"), registered)
    expires = registered + np.timedelta64(7305, "D")
    expires = np.where(faults["expired"], first - random.integers(5, 300, n).astype("timedelta64[D]"), expires)
    registered = np.where(faults["expired"], expires - np.timedelta64(3652, "D"), registered)
    number = pl.Series(licence_numbers(random.integers(0, 31**9, n), faults["check"]))
    status = np.where(creators.is_business, np.where(faults["revoked"], 1, 0), 2)
    frame = pl.DataFrame(
        {
            "licence_number": number,
            "licence_name": names + levels(_TRADES, random.integers(0, len(_TRADES), n)),
            "licence_registered": days(registered),
            "licence_expires": days(expires),
        }
    )
    business = pl.lit(pl.Series(creators.is_business))
    held = frame.select(pl.when(business).then(pl.all()).otherwise(None))
    return held.with_columns(levels(STATUSES, status).alias("licence_status"))


def _faults(agents: Agents, what: str, false: np.ndarray, kinds: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Which faults the papers of each creator have, bool [n] a kind."""
    knobs, n = agents.config.fraud, len(false)
    random = stream(agents.config, f"faults {what}")
    one, slips = random.integers(0, len(kinds), n), random.random((len(kinds), n))
    shows = false & agents.frauds.papers_show
    return {
        kind: np.where(false, shows & (one == place), (kind in _SLIPS) & (slips[place] < knobs.papers_slip))
        for place, kind in enumerate(kinds)
    }
