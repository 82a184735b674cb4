"""`sealscore-node plan`: an operator sees what a plan costs, and approves it by its hash or not at all."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from homes import Said, Town
from ledgers import state_of

from sealscore.shared.bundle import COURIER_FILES, build_bundle, courier_app, courier_bundle
from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.text.foreign import grouped

Node = Callable[..., Said]


@pytest.fixture
def ask(node: Node, town: Town) -> Callable[..., Said]:
    """A command of the first lender's; with an approval the bundle's file is given."""

    def call(*arguments: Any, bundle: Path | None = town.bundle) -> Said:
        given = ("--bundle", bundle) if arguments[0] == "approve" and bundle is not None else ()
        return node("plan", *arguments, *given, "--home", town["lender-1"].folder)

    return call


@pytest.fixture
def file(town: Town) -> Path:
    return town.server.plans / "small.json"


def state(town: Town) -> LedgerState:
    return state_of(town["lender-1"].ledger_file)


def entries(town: Town) -> int:
    path = town["lender-1"].ledger_file
    return len(list(read_ledger(path))) if path.exists() else 0


def test_show_tells_and_writes_nothing(ask: Node, town: Town, file: Path):
    said = ask("show", file)
    assert said.code == 0
    for words in ("a plan for tests", "lender-1, lender-2, lender-3", "epsilon 0 of 10", grouped(town.plan.hash)):
        assert words in said.text
    assert state(town).plans == {}
    assert town["lender-1"].kept_plans() == {}


def test_show_ends_with_1_where_something_is_in_the_way(ask: Node, town: Town, file: Path):
    town["lender-1"].trust().forget("lender-2")
    said = ask("show", file)
    assert (said.code, "in the way: no card of 'lender-2' is trusted" in said.text) == (1, True)


def test_approve_asks_writes_and_keeps(ask: Node, town: Town, file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    said = ask("approve", file)
    assert (said.code, "nothing was written" in said.text) == (1, True)
    assert state(town).plans == {}
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    said = ask("approve", file)
    assert (said.code, "approved: small, entry 3 of the ledger" in said.text) == (0, True)
    assert [plan.plan for plan in state(town).live] == [town.plan]
    assert town["lender-1"].kept_plans() == {town.plan.hash: town.plan}


def test_twice_is_refused(ask: Node, town: Town, file: Path):
    assert ask("approve", file, "--yes").code == 0
    said = ask("approve", file, "--yes")
    assert (said.code, "is live in this node's ledger already" in said.text) == (2, True)
    assert entries(town) == 3


def test_what_exceeds_the_budget_is_not_approved_and_nothing_is_written(ask: Node, town: Town, tmp_path: Path):
    plan = town.signed(privacy__epsilon=10.0, privacy__delta=1e-4)
    (tmp_path / "large.json").write_bytes(plan.canonical())
    said = ask("approve", tmp_path / "large.json", "--yes")
    assert said.code == 1
    assert "ceiling 10" in said.text
    assert entries(town) == 2
    assert town["lender-1"].kept_plans() == {}


def test_a_second_plan_is_checked_with_what_the_first_may_use(ask: Node, town: Town, file: Path, tmp_path: Path):
    """Each of the plans is within the ceiling, both together are not; once one has ended, the other is."""
    first, second = (town.signed(name=name, privacy__epsilon=7.0) for name in ("first", "second"))
    for plan in (first, second):
        (tmp_path / f"{plan.name}.json").write_bytes(plan.canonical())
    assert ask("approve", tmp_path / "first.json", "--yes").code == 0
    said = ask("approve", tmp_path / "second.json", "--yes")
    assert (said.code, "exceeds the data set's epsilon ceiling" in said.text) == (1, True)
    assert ask("refuse", "first", "--why", "make room").code == 0
    assert ask("approve", tmp_path / "second.json", "--yes").code == 0
    assert [plan.plan.name for plan in state(town).live] == ["second"]


def test_data_that_do_not_pass_are_the_operators_to_see_and_the_plan_is_not_approved(ask: Node, town: Town, file: Path):
    table = town["lender-1"].folder / "loans.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].replace(lines[1].split(",")[2], "plenty", 1)
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = ask("approve", file, "--yes")
    assert said.code == 2
    assert "column 'income', line 2: text where a number is needed" in said.text
    assert "plenty" not in said.text  # what goes to no terminal holds no cell
    assert entries(town) == 2
    assert state(town).plans == {}


def test_a_plan_with_hazards_is_not_approved(ask: Node, town: Town, tmp_path: Path):
    derived = {"name": "probe", "lower": -1, "upper": 1}
    derived["formula"] = {"op": "linear", "of": ["income"], "weights": [1e306]}
    plan = town.signed(groups__lender__table__derived=[derived])
    (tmp_path / "crafted.json").write_bytes(plan.canonical())
    said = ask("approve", tmp_path / "crafted.json", "--yes")
    assert (said.code, "'probe' overflows" in said.text) == (1, True)
    assert state(town).plans == {}


class TestRefuse:
    def test_a_proposed_plan_leaves_its_place(self, ask: Node, town: Town):
        home = town["lender-1"]
        home.keep_plan(town.plan)
        said = ask("refuse", town.plan.hash[:10], "--why", "not our purpose")
        assert (said.code, "refused: small" in said.text) == (0, True)
        assert home.kept_plans() == {}
        last = list(read_ledger(home.ledger_file))[-1].entry
        assert (last.kind, last.plan, last.code, last.why) == (
            "refuse",
            town.plan.hash,
            "not-approved",
            "not our purpose",
        )

    def test_an_approved_plan_is_revoked_for_good(self, ask: Node, town: Town, file: Path):
        ask("approve", file, "--yes")
        said = ask("refuse", "small")
        assert (said.code, "revoked: small" in said.text) == (0, True)
        assert state(town).live == []
        said = ask("refuse", "small")
        assert (said.code, "is revoked already" in said.text) == (2, True)
        said = ask("approve", file, "--yes")
        assert (said.code, "is revoked in this node's ledger already" in said.text) == (2, True)
        assert ask("show", file).code == 0

    @pytest.mark.parametrize("why", ["", "  ", "x" * 501])
    def test_a_reason_is_one(self, ask: Node, town: Town, file: Path, why: str):
        said = ask("refuse", file, "--why", why)
        assert (said.code, "1 to 500 characters" in said.text) == (2, True)
        assert entries(town) == 0


class TestNaming:
    def test_by_hash_name_or_file(self, ask: Node, town: Town, file: Path, tmp_path: Path):
        town["lender-1"].keep_plan(town.plan)
        groups = grouped(town.plan.hash)
        for name in (town.plan.hash, town.plan.hash[:8], groups, groups.replace(" ", "-"), groups[:20], "small", file):
            assert groups in ask("show", name).text
        for name in (town.plan.hash[:7], groups[:7], "", "s"):
            assert ask("show", name).code == 2
        draft = tmp_path / "draft.toml"
        draft.write_text("version = 2\n")
        said = ask("show", draft)
        assert (said.code, "draft.toml: " in said.text) == (2, True)

    def test_of_none_or_of_several(self, ask: Node, town: Town):
        said = ask("show", "small")
        assert (said.code, "no file and no plan is so named; plans: none" in said.text) == (2, True)
        others = [town.signed(name="twin", seed=seed) for seed in (1, 2)]
        for plan in others:
            town["lender-1"].keep_plan(plan)
        said = ask("approve", "twin", "--yes")
        assert (said.code, "several plans are so named" in said.text) == (2, True)
        assert all(grouped(plan.hash) in said.text for plan in others)

    def test_a_plan_that_was_tampered_with_is_another_plan(self, ask: Node, file: Path, tmp_path: Path):
        text = file.read_text().replace('"epsilon":8.0', '"epsilon":9.0')
        (tmp_path / "other.json").write_text(text + " ")
        said = ask("show", tmp_path / "other.json")
        assert (said.code, "not in canonical form" in said.text) == (2, True)


def test_list_says_where_each_stands(ask: Node, town: Town, file: Path):
    assert "no plan was proposed yet" in ask("list").text
    town["lender-1"].keep_plan(town.signed(name="other"))
    ask("approve", file, "--yes")
    rows = {line.split()[1]: line for line in ask("list").out.splitlines() if "credit-scoring" in line}
    assert set(rows) == {"small", "other"}
    assert "live" in rows["small"]
    assert "not approved" in rows["other"]
    assert grouped(town.plan.hash) in rows["small"]


def test_an_approval_is_for_the_one_purpose_that_has_room(ask: Node, town: Town, file: Path, node: Any):
    home = town["lender-1"]
    text = home.config_file.read_text(encoding="utf-8").replace("# [budget.purposes]", "[budget.purposes]")
    home.config_file.write_text(text.replace("# credit-scoring = 3.0", "credit-scoring = 1.0"), encoding="utf-8")
    said = ask("approve", file, "--yes")
    assert (said.code, "ceiling 1;" in said.text) == (1, True)
    assert entries(town) == 2


def compared(said: Said) -> dict[str, str]:
    """By file of the courier, how it is against this release's, as a command shows it."""
    return dict(re.findall(r"(clients/\S+) [\d,]+ (the same|other|none) ", said.text))


class TestBundle:
    """With a plan its operator approves code: this release's own, or what was given as a file and looked into."""

    def test_that_of_another_release_is_asked_for(self, ask: Node, town: Town, file: Path):
        said = ask("approve", file, "--yes", bundle=None)
        assert (said.code, "--bundle FILE" in said.text) == (2, True)
        assert all(grouped(sha256) in said.err for sha256 in (str(town.plan.bundle), courier_bundle().sha256))
        assert entries(town) == 2

    def test_that_of_this_release_is_built_here(self, ask: Node, town: Town, tmp_path: Path):
        plan = town.plan.replace(bundle=courier_bundle().sha256)
        (tmp_path / "own.json").write_bytes(plan.canonical())
        for words in (("show", tmp_path / "own.json"), ("approve", tmp_path / "own.json", "--yes")):
            said = ask(*words, bundle=None)
            assert said.code == 0
            assert compared(said) == dict.fromkeys(COURIER_FILES, "the same")
        assert entries(town) == 3

    def test_what_differs_from_this_release_is_shown(self, ask: Node, town: Town, file: Path, tmp_path: Path):
        changed = courier_app() | {"clients/app.py": b"# other", "clients/more.py": b"# more"}
        built = build_bundle(changed)
        (tmp_path / "other.fab").write_bytes(built.content)
        (tmp_path / "other.json").write_bytes(town.plan.replace(bundle=built.sha256).canonical())
        said = ask("show", tmp_path / "other.json", "--bundle", tmp_path / "other.fab")
        expected = dict.fromkeys(COURIER_FILES, "the same") | {"clients/app.py": "other", "clients/more.py": "none"}
        assert compared(said) == expected

    def test_another_is_refused_and_both_hashes_are_shown(self, ask: Node, town: Town, file: Path, tmp_path: Path):
        other = tmp_path / "other.fab"
        with zipfile.ZipFile(other, "w") as archive:
            archive.writestr("clients/app.py", "# takes what it can\n")
        found = hashlib.sha256(other.read_bytes()).hexdigest()
        for words in (("approve", file, "--yes"), ("show", file, "--bundle", other)):
            said = ask(*words, bundle=other)
            assert said.code == 2
            assert grouped(found) in said.err
            assert grouped(str(town.plan.bundle)) in said.err
        assert entries(town) == 2

    def test_its_files_are_shown(self, ask: Node, town: Town, file: Path):
        content = grouped(hashlib.sha256(b"# carries messages\n").hexdigest())
        for words in (("show", file, "--bundle", town.bundle), ("approve", file, "--yes")):
            said = ask(*words)
            assert said.code == 0
            assert f"clients/app.py 19 other {content}" in said.text

    @pytest.mark.parametrize("content", [None, b"no bundle"])
    def test_what_is_none_is_bad_input(self, ask: Node, town: Town, file: Path, tmp_path: Path, content: bytes | None):
        if content is not None:
            (tmp_path / "x.fab").write_bytes(content)
        assert ask("approve", file, "--yes", bundle=tmp_path / "x.fab").code == 2
        assert entries(town) == 2
