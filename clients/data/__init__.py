"""A partner's own tables: read them, check them, split them. Nothing here leaves the partner."""

from sealscore.clients.data.checks import Checked, Nominal, check_table
from sealscore.clients.data.column_mapping import ColumnMapping
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.given import Given, read_given
from sealscore.clients.data.load import Loaded, in_words, load, load_records, one_sided_parts
from sealscore.clients.data.sources.files import read_table
from sealscore.clients.data.sources.sources import Source, read_source
from sealscore.clients.data.sources.sql import SqlSource
from sealscore.clients.data.split import test_mask
from sealscore.clients.data.table import Table, columns_of

__all__ = [
    "Checked",
    "ColumnMapping",
    "DataError",
    "Given",
    "Loaded",
    "Nominal",
    "Problem",
    "Source",
    "SqlSource",
    "Table",
    "check_table",
    "columns_of",
    "in_words",
    "load",
    "load_records",
    "one_sided_parts",
    "read_given",
    "read_source",
    "read_table",
    "test_mask",
]
