"""Who is a test person. A person is in one part with all records, or evaluation would not compose in parallel."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from sealscore.clients.data.errors import DataError, Problem
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.plan.settings import Split


def test_mask(
    split: Split, persons: Sequence[str], dates: np.ndarray | None, folder: Path, identifier: str
) -> np.ndarray:
    """Which of n records belong to test persons, bool [n].

    By ids: the person is on the published list, a text file in `folder` with one id on a line; persons are in the
    normal form `identifier`, and the list is brought to it. By hash: HMAC-SHA256
    (split.key, person), as a fraction of 2^256, is below the test fraction. By date: a person is a test person when
    any of the records (`dates`, datetime64[D] [n]) is of the first test day or later. Then the earlier records of
    that person are test records too: this way nothing from after that day is ever learnt from.

    What a person is at one party follows from the plan and the person alone for ids and hash, so a person who is at
    several parties is in the same part at all of them. By date a party knows its own records only.

    Raises:
        DataError: the list is absent, is another than the plan's, or the table has no days to split by.
    """
    if split.kind == "ids":
        listed = {NORMAL_FORMS[identifier](person) for person in _listed(split, folder)}
        return np.array([person in listed for person in persons], dtype=bool)
    if split.kind == "hash":
        key, below = str(split.key).encode(), math.ceil(Fraction(split.test_fraction) * 2**256)
        return np.array([_hash(key, person) < below for person in persons], dtype=bool)
    if dates is None:
        fix = "name the column of the application's day as date in the schema of the group"
        raise DataError([Problem("plan", "evaluation.split is by date, and this table has no date column", fix)])
    late = dates >= np.datetime64(split.first_test_day, "D")
    test_persons = {person for person, is_late in zip(persons, late, strict=True) if is_late}
    return np.array([person in test_persons for person in persons], dtype=bool)


def _hash(key: bytes, person: str) -> int:
    return int.from_bytes(hmac.digest(key, person.encode(), hashlib.sha256), "big")


def _listed(split: Split, folder: Path) -> frozenset[str]:
    name = str(split.file)
    if Path(name).name != name or name in (".", ".."):
        # The plan is the server's word: it may name a file in this folder, and no way out of it.
        fix = "give the list's bare file name in the plan, and lay the file into the node's folder"
        raise DataError([Problem("plan", f"evaluation.split.file = {name!r} is a path", fix)])
    try:
        data = (folder / name).read_bytes()
    except OSError:
        fix = f"lay the list of test ids that the plan names into {folder}"
        raise DataError([Problem(name, "there is no such file", fix)]) from None
    found = hashlib.sha256(data).hexdigest()
    if found != split.sha256:
        fix = f"get the file whose SHA-256 is {split.sha256}, or have the plan's evaluation.split.sha256 corrected"
        raise DataError([Problem(name, f"the file is another than the plan's, its SHA-256 is {found}", fix)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError([Problem(name, "the list is not UTF-8", "ask for a plan with a list that is")]) from None
    return frozenset(line.strip() for line in text.splitlines() if line.strip())
