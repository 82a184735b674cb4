"""One applicant's features at a lender's scorer, from the raw rows of the request and an index of keyed hashes.

A scorer holds no table: others' numbers are asked of the index that the node's command builds (`applicant index`).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sealscore.clients.applicant.errors import UsedNumbersError
from sealscore.clients.serve.faults import no_index
from sealscore.clients.setup.node_dir import NodeDirError
from sealscore.clients.setup.serving_dir import ScorerDir, today
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.plan.schema import TableSchema

if TYPE_CHECKING:
    from sealscore.clients.applicant.desk import ApplicantDesk
    from sealscore.clients.applicant.features import OneApplicant
    from sealscore.clients.applicant.used_numbers import UsedNumbers

log = logging.getLogger("sealscore.scorer")


class ScorerApplicants:
    """Answers about applicants by the index in a scorer's folder, which is opened when the first one is asked about."""

    def __init__(self, folder: ScorerDir) -> None:
        self._folder = folder
        self._desk: ApplicantDesk | None = None
        self._numbers: UsedNumbers | None = None
        self._seen: tuple[int, ...] = ()

    async def answer(self, given: Any, table: TableSchema) -> bytes:
        """See `ApplicantDesk.answer`; also HttpProblem `no-index` where the index cannot be asked."""
        if self._desk is None:
            # A scorer that is never asked about raw rows starts and runs without what reads tables.
            from sealscore.clients.applicant.desk import ApplicantDesk

            self._desk = ApplicantDesk(self._made, today)
        try:
            return await self._desk.answer(given, table)
        except (UsedNumbersError, NodeDirError, KeyFileError) as error:
            log.warning("no features of applicants: %s", error)
            raise no_index() from None

    def stop(self) -> None:
        """Finish, and close the index."""
        if self._desk is not None:
            self._desk.stop(self._close)

    def _made(self, table: TableSchema) -> OneApplicant:
        from sealscore.clients.applicant.desk import names_of, raw_kind
        from sealscore.clients.applicant.features import OneApplicant
        from sealscore.clients.applicant.files import index_file, index_key, used_numbers

        raw_kind(table, "lender")
        seen = _places(index_file(self._folder), index_key(self._folder))
        if self._numbers is None or seen != self._seen:
            self._close()
            if not index_file(self._folder).exists():
                raise UsedNumbersError("the index is not there; build it first: sealscore-node applicant index TABLES")
            self._numbers, self._seen = used_numbers(self._folder), seen
        return OneApplicant.at_lender(self._numbers, names_of(table))

    def _close(self) -> None:
        if self._numbers is not None:
            self._numbers.close()
        self._numbers = None


def _places(*paths: Path) -> tuple[int, ...]:
    """Which files stand at these paths: another one may have taken a place."""
    return tuple(os.stat(path).st_ino if path.exists() else 0 for path in paths)
