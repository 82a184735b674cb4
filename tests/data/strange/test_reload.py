"""A running node whose data turn into any strange file goes on with what it had, and says so."""

from __future__ import annotations

import gzip
import io
import time
from contextlib import AbstractContextManager
from pathlib import Path

import polars as pl
import pytest
from builders import small_records
from corpus import LONG
from homes import Town, new_town, running, table_of

from sealscore.clients.data import ColumnMapping, DataError, load_records, read_given
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.shared.crypto.sealing import PlanKeys, sign_message
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Join
from sealscore.shared.plan.plan import SERVER, Plan

TABLE = table_of(small_records(seed=1))
CLEAN = TABLE.with_columns(note=pl.lit("plain")).write_csv().encode()
END = len(CLEAN) // 2 + CLEAN[len(CLEAN) // 2 :].index(b"plain")


def at_half(cell: bytes) -> bytes:
    """The clean file with another cell in the middle of a column that no plan uses."""
    return CLEAN[:END] + cell + CLEAN[END + len(b"plain") :]


def lists() -> bytes:
    out = io.BytesIO()
    TABLE.with_columns(id=pl.concat_list("id")).write_parquet(out)
    return out.getvalue()


UNREADABLE: dict[str, tuple[str, bytes]] = {
    "quote": ("loans.csv", at_half(b'"open')),
    "quote and no final newline": ("loans.csv", at_half(b'"open').rstrip()),
    "few cells": ("loans.csv", at_half(b"").replace(b"federation,\n", b"federation\n")),
    "many cells": ("loans.csv", at_half(b"a,b")),
    "long cell": ("loans.csv", at_half(LONG.encode())),
    "zero byte": ("loans.csv", at_half(b"a\0b")),
    "no utf-8": ("loans.csv", at_half("\u8d37\u6b3e".encode("gbk"))),
    "utf-16 without its mark": ("loans.csv", CLEAN.decode().encode("utf-16-le")),
    "gzip": ("loans.csv", gzip.compress(CLEAN, mtime=0)),
    "workbook": ("loans.csv", b"PK\x03\x04" + CLEAN),
    "titles": ("loans.csv", b"Loans\n" + CLEAN),
    "semicolons": ("loans.csv", CLEAN.replace(b",", b";")),
    "half a file": ("loans.parquet", b"PAR1" + CLEAN),
    "lists": ("loans.parquet", lists()),
}


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return new_town(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "clean.csv"
    path.write_bytes(CLEAN)
    return {"path": path}


def running_on(town: Town, data: dict[str, Path], told: list[str]) -> AbstractContextManager[PlanRouter]:
    def own() -> ColumnMapping:
        return ColumnMapping(data["path"], consent_column="consent")

    return running(
        town["lender-1"],
        town.plan,
        load=lambda plan: load_records(own(), plan, "lender-1"),
        given=lambda plan: read_given(own(), plan, "lender-1"),
        tell=told.append,
    )


def join(host: PlanRouter, town: Town, plan: Plan) -> None:
    """Have the server join a run, so that the node reads its data."""
    server = town.server.identity()
    keys = PlanKeys.generate(server, plan.hash)
    header = Address(plan.hash, "run-1", "", 0, 1, SERVER, host.name)
    host.answer(sign_message(Join(header, keys.certificate, int(time.time()), ()), server))


def used(host: PlanRouter) -> set[str]:
    (node,) = host._nodes.values()
    return set(node.role.records.ids)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_goes_on_with_all_that_it_had(town: Town, data: dict[str, Path], tmp_path: Path, kind: str) -> None:
    told: list[str] = []
    with running_on(town, data, told) as host:
        join(host, town, town.plan)
        assert used(host) == set(TABLE["id"])
        name, content = UNREADABLE[kind]
        (tmp_path / name).write_bytes(content)
        data["path"] = tmp_path / name
        with pytest.raises(DataError) as caught:
            host.reload()
        assert all(problem.file == name for problem in caught.value.problems)
        assert used(host) == set(TABLE["id"])
        assert told
        assert name in told[-1]
        data["path"] = tmp_path / "clean.csv"
        assert host.reload() == {town.plan.hash: TABLE.height}
