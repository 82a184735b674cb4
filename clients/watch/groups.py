"""Groups of applications that a lender lawfully holds, and that no score and no policy reads."""

from __future__ import annotations

from pathlib import Path

from sealscore.clients.decision.own_tables import rows_of
from sealscore.clients.watch.errors import WatchError

_MOST = 20


def read_groups(path: Path) -> dict[str, str]:
    """The group of applications by their id.

    Raises:
        DataError: it is no table.
        DecisionError: a column is missing.
        WatchError: an application stands in two groups, or there are so many that they name persons.
    """
    found: dict[str, str] = {}
    for number, (application, group) in enumerate(rows_of(path, "application_id", "group"), 1):
        if not application or not group:
            continue
        if found.setdefault(application, group) != group:
            raise WatchError("groups", f"{path}: row {number}: this application stands in two groups; keep one")
    if len(set(found.values())) > _MOST:
        raise WatchError("groups", f"{path}: there are more than {_MOST} groups; put the small ones together")
    return found
