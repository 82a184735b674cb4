"""What a service answers about one applicant, on a thread of its own that holds up nobody else.

The rows of a request are all that it sees of a table, and they are gone when it is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import msgspec

from sealscore.clients.applicant.features import OneApplicant
from sealscore.clients.data.errors import DataError
from sealscore.clients.features.dictionary.dictionary import Kind, kind_of
from sealscore.clients.features.dictionary.digest import dictionary_digest
from sealscore.clients.http.problems import other_features, rows_refused
from sealscore.shared.plan.schema import TableSchema

Made = Callable[[TableSchema], OneApplicant]


class ApplicantDesk:
    """Answers by what `made` gives for a plan's table; `made` and the answer are called by one thread alone."""

    def __init__(self, made: Made, today: Callable[[], date]) -> None:
        self._made, self._today = made, today
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="applicant")

    async def answer(self, given: Any, table: TableSchema) -> bytes:
        """Features and flags, encoded. A lender's index is told of the application where the body says `"add": true`.

        Raises:
            HttpProblem: `rows` where the rows cannot be used, `other-features` where the plan's table is another one;
                and what `made` raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answered, given, table)

    def stop(self, last: Callable[[], None] = lambda: None) -> None:
        """Finish what was asked, and do `last` on the thread."""
        self._thread.submit(last).result()
        self._thread.shutdown()

    def _answered(self, given: Any, table: TableSchema) -> bytes:
        one = self._made(table)
        add = False
        if isinstance(given, dict) and one.numbers is not None and "add" in given:
            add = given["add"]
            if not isinstance(add, bool):
                raise rows_refused(["add: give true or false"])
            given = {key: value for key, value in given.items() if key != "add"}
        try:
            found = one.of(given, self._today())
        except DataError as error:
            raise rows_refused(error.lines) from None
        if add:
            one.add(found)
        return msgspec.json.encode({"features": found.features, "flags": found.flags})


def raw_kind(table: TableSchema, *kinds: Kind) -> Kind:
    """The kind of party, of those, whose raw tables a plan's table follows from.

    Raises:
        HttpProblem: `other-features`; it follows from none, or by another dictionary than this release's.
    """
    try:
        kind = kind_of(table)
    except KeyError:
        raise other_features() from None
    if kind not in kinds or table.dictionary not in (None, dictionary_digest()):
        raise other_features()
    return kind


def names_of(table: TableSchema) -> frozenset[str]:
    """The names of a table's features."""
    return frozenset(feature.name for feature in table.features)
