"""The sentences of the feature dictionary for a plan that names it.

Sentences in a plan are in its hash. A plan need not repeat those of the dictionary that it pins: whoever scores by it
fills them in (`texts` of `sealscore.shared.serving.reason_texts.reason`).
"""

from __future__ import annotations

from sealscore.clients.features.dictionary.dictionary import KINDS, entries
from sealscore.clients.features.dictionary.digest import dictionary_digest
from sealscore.clients.features.dictionary.entry import Entry
from sealscore.shared.plan.schema import LevelReason, NumericReason, TableSchema


def dictionary_reasons(table: TableSchema) -> dict[str, NumericReason | LevelReason]:
    """The sentences by feature of the table; none for a table that names no dictionary, or that of another release."""
    return {found.name: reason for found in _known(table) if (reason := found.reason) is not None}


def dictionary_names(table: TableSchema) -> dict[str, tuple[str, str]]:
    """What applicants call the table's features, in English and in Chinese; none as above."""
    return {found.name: (found.en, found.zh) for found in _known(table)}


def _known(table: TableSchema) -> list[Entry]:
    if table.dictionary != dictionary_digest():
        return []
    wanted = {feature.name for feature in table.features}
    return [found for kind in KINDS for found in entries(kind) if found.name in wanted]
