"""One applicant's features over the scorer: as by the table, with the flags that an index answers."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from raw_tables import lender_tables
from scorer_home import ScorerHome

from sealscore.clients.applicant.features import OneApplicant
from sealscore.clients.applicant.files import index_key, used_numbers
from sealscore.clients.applicant.rows import read_by
from sealscore.clients.features import table_schema
from sealscore.clients.features.papers import filed_papers
from sealscore.clients.http.callers import Callers
from sealscore.clients.serve.api import FEATURES, MOST_BYTES, ScorerApi
from sealscore.clients.serve.applicants import ScorerApplicants
from sealscore.clients.serve.process import caller_file
from sealscore.clients.setup.serving_dir import today
from sealscore.shared.plan.schema import TableSchema
from sealscore.simulations.bench.features.applicant import rows_of

NAMES = ["amount", "bureau_score", "identity_flags", "earlier_loans"]
SECRET = "Zx9-canary-77"
Post = Callable[..., httpx.Response]


class Served:
    """The scorer's paths, in one process, under a plan's table; `warned` is what its operator is told of callers."""

    def __init__(self, folder: Path) -> None:
        self.home, self.table = ScorerHome(folder), table_schema("lender", NAMES)
        self.applicants = ScorerApplicants(self.home.dir)
        self.header = self.home.caller("loans", "features")

    def post(self, body: Any, table: TableSchema | None = None, **more: Any) -> httpx.Response:
        groups = {"lender": SimpleNamespace(table=table or self.table)}
        plan = SimpleNamespace(groups=groups, lenders="lender")
        live = SimpleNamespace(release=SimpleNamespace(plan=plan))

        async def ready() -> None:
            return None

        committer: Any = SimpleNamespace(live=live, ready=ready, ask=None)
        callers = Callers(caller_file(self.home.dir), print)
        none: Any = SimpleNamespace()
        api: Any = ScorerApi(committer, none, none, self.applicants, callers)

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=api)
            async with httpx.AsyncClient(transport=transport, base_url="http://scorer", headers=self.header) as client:
                given = more if body is None else {"json": body, **more}
                return await client.post(FEATURES, **given)

        return asyncio.run(asked())

    def build(self) -> None:
        tables = lender_tables()
        numbers = used_numbers(self.home.dir)
        numbers.build(filed_papers(tables["identity"].lazy(), tables["applications"].lazy()))
        numbers.close()


@pytest.fixture
def scorer(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "home")
    yield made
    made.applicants.stop()


def body(**changes: Any) -> dict[str, Any]:
    tables = lender_tables()
    rows = rows_of({name: tables[name] for name in read_by("lender")}, "lender", "C00003")
    return {"application_id": "A00003", "tables": rows} | changes


def stranger(day: str) -> dict[str, Any]:
    """Somebody else with the papers of A00003, who applies on a day."""
    moved = json.loads(json.dumps(body()).replace("C00003", "C99999").replace("A00", "A99").replace("A99003", "A99"))
    for row in moved["tables"]["applications"]:
        row["applied_at"] = day
    return moved


def codes(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {flag["code"] for flag in answer.json()["flags"]}


def test_features_and_flags_are_those_of_the_book(scorer: Served):
    scorer.build()
    answer = scorer.post(body())
    assert answer.status_code == 200, answer.text
    numbers = used_numbers(scorer.home.dir)
    expected = OneApplicant.at_lender(numbers, NAMES).of(body(), today())
    numbers.close()
    assert answer.json() == {"features": expected.features, "flags": expected.flags}
    assert answer.json()["features"].keys() == set(NAMES)
    assert "ID07" in codes(scorer.post(stranger(str(today()))))


def test_an_application_that_is_added_is_seen_by_the_next(scorer: Served):
    scorer.build()
    first = body()
    for row in first["tables"]["identity"]:
        row |= {"licence_number": "91350100M000100Y43", "licence_name": "a shop", "licence_status": "active"}
    second = copy.deepcopy(stranger(str(today())))
    for row in second["tables"]["identity"]:
        row |= {"licence_number": "91350100M000100Y43", "licence_name": "a shop", "licence_status": "active"}
    assert codes(scorer.post(first)) == set()
    assert "LC06" not in codes(scorer.post(second))
    assert codes(scorer.post(first | {"add": True})) == set()
    assert "LC06" in codes(scorer.post(second))


def test_without_an_index_nothing_is_answered_and_one_that_comes_is_used(
    scorer: Served, caplog: pytest.LogCaptureFixture
):
    answer = scorer.post(body())
    assert (answer.status_code, answer.json()["code"]) == (503, "no-index")
    assert not index_key(scorer.home.dir).exists()
    scorer.build()
    assert codes(scorer.post(body())) == set()
    index_key(scorer.home.dir).unlink()
    assert scorer.post(body()).json()["code"] == "no-index"
    assert "A00003" not in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"application_id": SECRET},
        {"tables": {SECRET: []}},
        {SECRET: 1},
        {"add": SECRET},
        {"tables": [SECRET]},
    ],
)
def test_rows_that_cannot_be_used_are_named_and_not_quoted(
    scorer: Served, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    scorer.build()
    answer = scorer.post(body(**changes))
    assert (answer.status_code, answer.json()["code"]) == (422, "rows")
    assert answer.json()["errors"]
    assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert scorer.post([SECRET]).json()["code"] == "rows"


def test_a_plan_of_another_dictionary_or_with_columns_of_its_own_is_told_so(scorer: Served):
    scorer.build()
    others = scorer.table.model_copy(update={"dictionary": "0" * 64})
    assert scorer.post(body(), others).json()["code"] == "other-features"
    assert scorer.post(body(), table_schema("wallet", ["inflow_3m"])).json()["code"] == "other-features"


def test_rights_and_limits(scorer: Served):
    scorer.build()
    headers = {"content-type": "application/json"}
    large = scorer.post(None, content=b" " * (MOST_BYTES + 1), headers=headers)
    assert (large.status_code, large.json()["code"]) == (413, "too-large")
    scorer.header = scorer.home.caller("scores", "score")
    assert scorer.post(body()).status_code == 403
    scorer.header = {}
    assert scorer.post(body()).status_code == 401
