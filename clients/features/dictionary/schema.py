"""The table of a plan from the feature dictionary."""

from __future__ import annotations

from collections.abc import Sequence

from sealscore.clients.features.dictionary.dictionary import AS_OF, CONSENT, ID, LABEL, PERSON, Kind, entries
from sealscore.clients.features.dictionary.digest import dictionary_digest
from sealscore.shared.plan.schema import TableSchema


def table_schema(kind: Kind, names: Sequence[str] | None = None) -> TableSchema:
    """The table that `build_table` writes, for `groups.NAME.table` of a plan; with some of its features on demand.

    It names this release's dictionary.

    Raises:
        KeyError: there is no such kind, or no feature of one of those names.
    """
    known = {found.name: found.column for found in entries(kind)}
    features = tuple(known.values()) if names is None else tuple(known[name] for name in names)
    common = {"date": AS_OF, "consent": CONSENT, "features": features, "dictionary": dictionary_digest()}
    if kind == "lender":
        return TableSchema(id=ID, person=PERSON, label=LABEL, **common)
    return TableSchema(id=PERSON, **common)
