"""A partner's own tables: read them, check them, split them. Nothing here leaves the partner."""

from clients.data.checks import Checked, Nominal, check_table
from clients.data.errors import DataError, Problem
from clients.data.load import load_records
from clients.data.sources import Table, columns_of, read_table
from clients.data.split import test_mask

__all__ = [
    "Checked",
    "DataError",
    "Nominal",
    "Problem",
    "Table",
    "check_table",
    "columns_of",
    "load_records",
    "read_table",
    "test_mask",
]
