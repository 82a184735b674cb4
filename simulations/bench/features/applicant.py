"""One applicant's features and flags at a lender, from raw rows, beside books of several sizes.

The book is drawn at random; its index of used numbers is a file on the disk, built before. Timed is what happens to one
applicant: the check of the rows, what others used, features and flags.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.applicant.features import OneApplicant
from sealscore.clients.applicant.rows import read_by
from sealscore.clients.applicant.used_numbers import KEY_BYTES, UsedNumbers
from sealscore.clients.features.dictionary.dictionary import ID, PERSON, Kind
from sealscore.clients.features.papers import filed_papers

BOOKS, APPLICANTS, TURNS = (5_000, 50_000, 500_000), 100, 5
_TODAY = date(2026, 1, 1)
_OWNED: Mapping[Kind, str] = {"lender": "applications", "wallet": "accounts"}


def rows_of(tables: Mapping[str, pl.DataFrame], kind: Kind, person: str) -> dict[str, list[dict[str, Any]]]:
    """One person's rows out of canonical tables, as JSON has them."""
    own = {name: tables[name] for name, table in read_by(kind).items() if PERSON in table.columns}
    found = {name: frame.filter(pl.col(PERSON) == person) for name, frame in own.items()}
    for name in read_by(kind).keys() - own.keys():
        held = found[_OWNED[kind]].select(key := f"{_OWNED[kind][:-1]}_id")
        found[name] = tables[name].join(held, on=key, how="semi")
    return {name: [_plain(row) for row in frame.iter_rows(named=True)] for name, frame in found.items()}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, date | datetime) else value for key, value in row.items()}


def draw_lender(applications: int, seed: int = 0) -> dict[str, pl.DataFrame]:
    """A lender's book: of three applications two are of one person, each with papers and six instalments."""
    random = np.random.default_rng(seed)
    names = pl.Series(np.arange(applications)).cast(pl.String)
    who = random.integers(0, applications * 2 // 3 + 1, applications)
    persons = pl.Series(np.arange(applications * 2 // 3 + 1)).cast(pl.String)
    filed = "A" + names
    day = np.datetime64("2022-01-01") + random.integers(0, 1000, applications)
    # One number in a hundred is another person's, too.
    number = np.where(random.random(applications) < 0.01, random.integers(0, len(persons), applications), who)
    numbers = "99999919900101" + pl.Series(number).cast(pl.String)
    long_before, long_after = (np.full(applications, np.datetime64(f"{year}-01-01")) for year in (2015, 2035))
    due = day.repeat(6) + 30 * np.tile(np.arange(1, 7), applications)
    reports = np.datetime64("2021-06-01") + random.integers(0, 1200, 2 * len(persons))
    bureau = pl.DataFrame({PERSON: pl.concat([persons, persons]), "as_of": reports}).unique(maintain_order=True)
    return {
        "applications": pl.DataFrame(
            {
                ID: filed,
                PERSON: persons.gather(who),
                "product": pl.repeat("traffic", applications, eager=True),
                "applied_at": day,
                "amount": np.round(random.lognormal(9, 0.5, applications), -2),
                "term_months": pl.repeat(6, applications, dtype=pl.Int64, eager=True),
                "currency": pl.repeat("CNY", applications, eager=True),
                "declared_income": np.round(random.lognormal(8.5, 0.5, applications)),
                "age": pl.repeat(34, applications, dtype=pl.Int64, eager=True),
                "gender": pl.repeat("female", applications, eager=True),
                "region": pl.repeat("east", applications, eager=True),
            }
        ),
        "bureau": bureau.with_columns(
            score=pl.lit(640), months_on_file=pl.lit(80), open_accounts=pl.lit(3), utilisation=pl.lit(0.4),
            late_24m=pl.lit(0), inquiries_6m=pl.lit(1),
        ),
        "repayments": pl.DataFrame(
            {
                ID: filed.gather(np.arange(applications).repeat(6)),
                "due_at": due,
                "paid_at": due + random.integers(-5, 10, len(due)),
                "due_amount": pl.repeat(1000.0, len(due), eager=True),
                "paid_amount": pl.repeat(1000.0, len(due), eager=True),
            }
        ),
        "identity": pl.DataFrame(
            {
                ID: filed,
                "id_number": numbers,
                "name_on_id": persons.gather(who),
                "name_on_account": persons.gather(who),
                "id_issued": long_before,
                "id_expires": long_after,
                "licence_number": "L" + numbers,
                "licence_name": pl.repeat("a shop", applications, eager=True),
                "licence_registered": long_before,
                "licence_expires": long_after,
                "licence_status": pl.repeat("active", applications, eager=True),
            }
        ),
        "decisions": pl.DataFrame(
            {ID: filed, "decision": pl.repeat("approved", applications, eager=True), "decided_at": day + 1}
        ),
    }  # fmt: skip


class _Book:
    """A book's index on the disk, and questions about the last applicants in it; the book itself is let go."""

    def __init__(self, applications: int, folder: Path) -> None:
        tables = draw_lender(applications)
        asked = tables["applications"].tail(APPLICANTS).select(ID, PERSON).rows()
        self.bodies = [{ID: one, "tables": rows_of(tables, "lender", person)} for one, person in asked]
        self.numbers = UsedNumbers(os.urandom(KEY_BYTES), folder / f"numbers-{applications}.db")
        started = time.perf_counter()
        self.numbers.build(filed_papers(tables["identity"].lazy(), tables["applications"].lazy()))
        self.build_s = time.perf_counter() - started
        self._one = OneApplicant("lender", numbers=self.numbers)
        self._computed: list[float] = []
        self._looked: list[float] = []

    def turn(self) -> None:
        """Time each applicant once, and the index by itself."""
        spent, papers = [], []
        for body in self.bodies:
            began = time.process_time()
            found = self._one.of(body, _TODAY)
            spent.append(time.process_time() - began)
            assert found.filed is not None
            began = time.process_time()
            self.numbers.used_by_others(*found.filed)
            papers.append(time.process_time() - began)
        self._computed.append(statistics.median(spent))
        self._looked.append(statistics.median(papers))

    def costs(self) -> dict[str, float]:
        """Milliseconds of one applicant and of the index alone: the median of them all, the best of a few turns."""
        return {
            "cpu_ms": 1e3 * min(self._computed),
            "index_cpu_ms": 1e3 * min(self._looked),
            "index_build_s": self.build_s,
        }


def run() -> dict[str, Any]:
    """CPU of one applicant by applications in the book, over all threads, and how much more it is at the largest.

    Books take turns, so that other work on the machine weighs on each alike.
    """
    with tempfile.TemporaryDirectory() as folder:
        books = {size: _Book(size, Path(folder)) for size in BOOKS}
        for _ in range(TURNS):
            for book in books.values():
                book.turn()
        for book in books.values():
            book.numbers.close()
    costs = {size: book.costs() for size, book in books.items()}
    found: dict[str, Any] = {f"applicant_{name}_{size}": cost for size in BOOKS for name, cost in costs[size].items()}
    return found | {"applicant_growth": costs[BOOKS[-1]]["cpu_ms"] / costs[BOOKS[0]]["cpu_ms"]}
