"""The index of used numbers, where a lender's scorer finds it, and what it is built from.

numbers.db         the index: keyed hashes and days, no number and no name; built again by command
keys/used-numbers  its key

Both lie in the scorer's folder: it is all that a process needs which computes one applicant's features, and no table.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import polars as pl

from sealscore.clients.applicant.used_numbers import KEY_BYTES, UsedNumbers
from sealscore.clients.data.sources.file_kinds import unchanged
from sealscore.clients.features.build import Settings
from sealscore.clients.features.papers import filed_papers
from sealscore.clients.features.raw.raw import TABLES
from sealscore.clients.features.raw.tables import match, read_tables, table_file
from sealscore.clients.setup.node_dir import NodeDirError, passphrase
from sealscore.clients.setup.serving_dir import ScorerDir
from sealscore.shared.files import OWNER_ONLY
from sealscore.shared.identity.keyfile import read_key, write_key

_KIND = "used-numbers"


def index_file(folder: ScorerDir) -> Path:
    """Where the index is."""
    return folder.folder / "numbers.db"


def index_key(folder: ScorerDir) -> Path:
    """Where its key is."""
    return folder.keys / _KIND


def used_numbers(folder: ScorerDir) -> UsedNumbers:
    """The index of a lender, made with its key where there is none.

    Raises:
        NodeDirError: there is an index, and its key is gone.
        KeyFileError, UsedNumbersError: key or index cannot be used.
    """
    key, path, shared = index_key(folder), index_file(folder), folder.shared
    if not key.exists():
        if path.exists():
            fix = f"restore it, or remove {path} and build it again: sealscore-node applicant index TABLES"
            raise NodeDirError(f"{key}: is missing, and {path} cannot be read without it; {fix}")
        folder.make(folder.keys)
        write_key(key, _KIND, {}, os.urandom(KEY_BYTES), passphrase(), shared)
    return UsedNumbers(read_key(key, _KIND, passphrase(), shared)[1], path, 0o660 if shared else OWNER_ONLY)


def filed_in(folder: Path, today: date, settings: Settings) -> pl.DataFrame:
    """What a lender's raw tables have for the index, of sound rows alone (see `papers.filed_papers`).

    Raises:
        DataError: see `build_table`.
    """
    mapping = settings.mapping_of(folder, "lender")
    with unchanged(*(folder / table_file(name, mapping) for name in TABLES["lender"])):
        sound = read_tables(
            folder,
            "lender",
            today,
            mapping=mapping,
            currencies=settings.rates.keys(),
            most_rejected=settings.most_rejected,
            zone=settings.zone,
        )
        match(sound, "lender", folder)
        return filed_papers(sound["identity"].frame, sound["applications"].frame)
