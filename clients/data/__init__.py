"""A partner's own tables: read them, check them, split them. Nothing here leaves the partner."""

from clients.data.checks import Checked, Nominal, check_table
from clients.data.errors import DataError, Problem
from clients.data.files import read_table
from clients.data.given import Given, read_given
from clients.data.load import in_words, load_records, one_sided_parts
from clients.data.own import OwnData
from clients.data.sources import Source, read_source
from clients.data.split import test_mask
from clients.data.sql import SqlSource
from clients.data.table import Table, columns_of

__all__ = [
    "Checked",
    "DataError",
    "Given",
    "Nominal",
    "OwnData",
    "Problem",
    "Source",
    "SqlSource",
    "Table",
    "check_table",
    "columns_of",
    "in_words",
    "load_records",
    "one_sided_parts",
    "read_given",
    "read_source",
    "read_table",
    "test_mask",
]
