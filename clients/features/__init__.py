"""Credit features from a party's own raw tables: computed at the party, as of the day of each application.

`build_table` is the one way from raw tables to the table of features that a node reads under a plan; `table_schema`
gives that table's columns for the plan. Nothing here leaves the party.
"""

from sealscore.clients.features.build import Built, Settings, build_table
from sealscore.clients.features.dictionary.dictionary import entries, entry
from sealscore.clients.features.dictionary.entry import Entry
from sealscore.clients.features.dictionary.schema import table_schema
from sealscore.clients.features.raw.mapping import PartyMapping
from sealscore.clients.features.sentiment import Sentiment

__all__ = [
    "Built",
    "Entry",
    "PartyMapping",
    "Sentiment",
    "Settings",
    "build_table",
    "entries",
    "entry",
    "table_schema",
]
