"""`sealscore-server plan`: made for the enrolled nodes, signed once, proposed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from builders import LENDERS
from homes import BUNDLE, Said, Town, plan_data

from sealscore.server.commands.running import run_action
from sealscore.server.run.run_files import FAILURE, PUBLISHED
from sealscore.server.setup.plan_making import PROFILES
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.foreign import grouped

Server = Callable[..., Said]


@pytest.fixture
def like(tmp_path: Path) -> Path:
    path = tmp_path / "like.toml"
    path.write_text(tomli_w.dumps(plan_data()), encoding="utf-8")
    return path


@pytest.fixture
def ask(server: Server, town: Town, control: Any) -> Server:
    return lambda *arguments: server("plan", *arguments, "--home", town.server.folder)


class TestNew:
    @pytest.mark.parametrize("profile", sorted(PROFILES))
    def test_writes_a_plan_and_what_it_will_take(self, ask: Server, town: Town, like: Path, profile: str):
        said = ask("new", "spring", "--like", like, "--profile", profile, "--days", 30, "--records", "lender-2=400")
        assert said.code == 0
        plan = Plan.load(town.server.plans / "spring.toml")
        assert plan.training.rounds == PROFILES[profile].rounds
        assert plan.expires == datetime.now(UTC).date() + timedelta(days=30)
        kept = [party.nominal_records for party in Plan.load(like).parties]
        assert [party.nominal_records for party in plan.parties] == [kept[0], 400, kept[2]]
        assert f"{PROFILES[profile].rounds} rounds, sample rate {PROFILES[profile].sample_rate:g}" in said.text
        assert f"{PROFILES[profile].rounds + 3} sums and 0 payloads" in said.text
        assert PROFILES[profile].auc_cost not in said.text  # it was measured at epsilon 1
        assert "about " in said.text
        assert "epsilon 8 at delta 1e-05 for a person" in said.text

    def test_the_cost_in_auc_is_said_of_the_kind_of_plan_it_was_measured_on(self, ask: Server, like: Path):
        like.write_text(like.read_text().replace("epsilon = 8.0", "epsilon = 1.0"))
        assert PROFILES["few"].auc_cost in ask("new", "spring", "--like", like, "--profile", "few").text
        assert "cost in AUC" not in ask("new", "summer", "--like", like).text

    def test_without_a_profile_it_trains_as_what_it_is_made_from(self, ask: Server, town: Town, like: Path):
        assert ask("new", "spring", "--like", like).code == 0
        assert Plan.load(town.server.plans / "spring.toml").training == Plan.load(like).training

    def test_two_plans_have_seeds_of_their_own(self, ask: Server, town: Town, like: Path):
        for name in ("one", "two"):
            assert ask("new", name, "--like", like).code == 0
        seeds = {Plan.load(town.server.plans / f"{name}.toml").seed for name in ("one", "two")}
        assert len(seeds) == 2

    @pytest.mark.parametrize(
        ("arguments", "what"),
        [
            (("spring", "--profile", "least"), "one of many, few, fewest"),
            (("spring", "--records", "lender-1"), "write PARTY=VALUE"),
            (("spring", "--records", "lender-1=many"), "is no number of records"),
            (("spring", "--records", "lender-1=-5"), "is no number of records"),
            (("spring", "--records", "lender-1=0"), "nominal_records = 0"),
            (("spring", "--records", "lender-9=5"), "'lender-9' is not enrolled; enrolled: lender-1"),
            (("spring", "--group", "lender-1=video"), "parties: 'lender-1' is of group 'video'"),
            (("spring", "--group", "lender-9=lender"), "is not enrolled"),
            (("spring", "--days", "0"), "--days"),
            (("Spring",), "name = 'Spring'"),
            (("../spring",), "name = '../spring'"),
        ],
    )
    def test_a_bad_argument_is_named_and_nothing_is_written(
        self, ask: Server, town: Town, like: Path, arguments: tuple[str, ...], what: str
    ):
        said = ask("new", *arguments, "--like", like)
        assert (said.code, what in said.text) == (2, True), said.text
        assert list(town.server.plans.glob("*.toml")) == []

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "[x",
            b"\xff",
            'name = "x"',
            "groups = 5",
            "groups.lender = 5",
            "training = 5",
            "training.optimizer = 5",
            "alignment = 5",
        ],
    )
    def test_what_it_is_made_from_must_be_a_plan(self, ask: Server, tmp_path: Path, text: str | bytes | None):
        path = tmp_path / "other.toml"
        if text is not None:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        said = ask("new", "spring", "--like", path)
        assert said.code == 2
        assert "Traceback" not in said.text

    def test_a_name_is_used_once(self, ask: Server, like: Path):
        ask("new", "spring", "--like", like)
        said = ask("new", "spring", "--like", like)
        assert (said.code, "there is a plan of that name" in said.text) == (2, True)

    def test_a_draft_is_made_again_until_it_is_signed(self, ask: Server, town: Town, like: Path):
        ask("new", "spring", "--like", like)
        first = Plan.load(town.server.plans / "spring.toml")
        said = ask("new", "spring", "--like", like, "--records", "lender-2=123", "--redo")
        assert said.code == 0
        again = Plan.load(town.server.plans / "spring.toml")
        assert (first.party("lender-2").nominal_records, again.party("lender-2").nominal_records) != (123, 123)
        assert again.party("lender-2").nominal_records == 123
        assert ask("sign", "spring").code == 0
        signed = (town.server.plans / "spring.json").read_bytes()
        said = ask("new", "spring", "--like", like, "--redo")
        assert (said.code, "is signed" in said.text) == (2, True)
        assert (town.server.plans / "spring.json").read_bytes() == signed


class TestSign:
    def test_adds_cards_and_bundle_once(self, ask: Server, town: Town, like: Path):
        ask("new", "spring", "--like", like)
        said = ask("sign", "spring")
        assert said.code == 0
        plan = town.server.signed_plans()["spring"]
        assert grouped(plan.hash) in said.text
        assert (plan.bundle, sorted(plan.cards)) == (BUNDLE, ["lender-1", "lender-2", "lender-3", "server"])
        said = ask("sign", "spring")
        assert (said.code, "a change needs a new name" in said.text) == (2, True)

    def test_not_what_is_not_there_or_named_otherwise(self, ask: Server, town: Town, like: Path):
        said = ask("sign", "spring")
        assert (said.code, "cannot be read" in said.text) == (2, True)
        ask("new", "spring", "--like", like)
        (town.server.plans / "spring.toml").rename(town.server.plans / "summer.toml")
        said = ask("sign", "summer")
        assert (said.code, "the plan in it is named 'spring'" in said.text) == (2, True)
        assert list(town.server.signed_plans()) == ["small"]

    def test_not_with_a_party_that_is_gone(self, ask: Server, town: Town, like: Path):
        ask("new", "spring", "--like", like)
        (town.server.cards / "lender-2.txt").unlink()
        said = ask("sign", "spring")
        assert (said.code, "'lender-2' is not enrolled; sealscore-server enrol CARD" in said.text) == (2, True)

    def test_not_what_no_noise_can_hold(self, ask: Server, town: Town, like: Path):
        like.write_text(like.read_text().replace("epsilon = 8.0", "epsilon = 20.0"))
        said = ask("new", "spring", "--like", like)
        assert (said.code, "raise delta or lower epsilon" in said.text) == (2, True)


def test_list_tells_drafts_from_signed_ones(ask: Server, like: Path, town: Town):
    for name in ("spring", "summer"):
        ask("new", name, "--like", like)
    ask("sign", "summer")
    rows = {line.split()[1]: line for line in ask("list").out.splitlines() if "│" in line}
    assert "draft" in rows["spring"]
    assert "signed" in rows["summer"]
    assert grouped(town.server.signed_plans()["summer"].hash) in rows["summer"]


class TestPublish:
    def leave(self, town: Town, said: dict[str, str]) -> Callable[[dict[str, str]], None]:
        def during(config: dict[str, str]) -> None:
            folder = town.server.run_folder(town.plan)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / PUBLISHED).write_text(json.dumps(said))

        return during

    def test_shows_what_each_said(self, ask: Server, town: Town, control: Any):
        control.during = self.leave(town, {"lender-1": "taken", "lender-2": "not there"})
        said = ask("publish", "small")
        assert (said.code, "lender-2, lender-3 did not take the plan" in said.text) == (1, True)
        assert control.submitted == [{"home": str(town.server.folder), "plan": "small", "action": "publish"}]
        assert "not there" in said.text
        assert f"read them the hash {grouped(town.plan.hash)}" in said.text
        control.during = self.leave(town, dict.fromkeys(LENDERS, "taken"))
        said = ask("publish", "small")
        assert (said.code, "did not take" in said.text) == (0, False)

    def test_fails_where_nobody_took_it(self, ask: Server, town: Town, control: Any):
        control.during = self.leave(town, dict.fromkeys(LENDERS, "not there"))
        said = ask("publish", "small")
        assert (said.code, "lender-1, lender-2, lender-3 did not take the plan" in said.text) == (1, True)
        assert said.text.count("not there") == 3

    def test_fails_where_the_run_did(self, ask: Server, control: Any):
        control.outcome = "failed"
        said = ask("publish", "small")
        assert (said.code, "the plan was not published: failed" in said.text) == (1, True)

    def test_only_what_is_signed(self, ask: Server):
        said = ask("publish", "spring")
        assert (said.code, "no signed plan is so named; signed: small" in said.text) == (2, True)

    def test_a_release_goes_by_this_versions_bundle_whatever_its_plan_names(
        self, town: Town, control: Any, monkeypatch: pytest.MonkeyPatch
    ):
        """Its plan has ended: the nodes that are reached have another, of this version."""
        import sealscore.shared.bundle as bundle

        monkeypatch.setattr(bundle, "courier_bundle", lambda: bundle.Bundle(b"", "ab" * 32, ()))
        run_action(town.server, town.plan, "publish-release", "first")
        assert control.submitted == [{"home": str(town.server.folder), "plan": "first", "action": "publish-release"}]
        control.outcome = "failed"
        with pytest.raises(SystemExit):
            run_action(town.server, town.plan, "publish-release", "first")

    def test_only_by_the_version_that_signed(self, ask: Server, control: Any, monkeypatch: pytest.MonkeyPatch):
        import sealscore.shared.bundle as bundle

        monkeypatch.setattr(bundle, "courier_bundle", lambda: bundle.Bundle(b"", "ab" * 32, ()))
        said = ask("publish", "small")
        assert (said.code, "with the version of Sealscore that it was signed with" in said.text) == (2, True)
        assert control.submitted == []


class TestEnd:
    @pytest.mark.parametrize(("untold", "code"), [([], 0), (["lender-3"], 1)])
    def test_says_who_has_not_heard_it(self, ask: Server, town: Town, control: Any, untold: list[str], code: int):
        folder = town.server.run_folder(town.plan)

        def during(config: dict[str, str]) -> None:
            folder.mkdir(parents=True, exist_ok=True)
            settled = [name for name in LENDERS if name not in untold]
            left = {"reason": "ended", "final": True, "settled": settled, "untold": untold}
            (folder / FAILURE).write_text(json.dumps(left))

        control.during = during
        said = ask("end", "small", "--yes")
        assert (said.code, "lender-3" in said.text) == (code, bool(untold))
        assert control.submitted == [{"home": str(town.server.folder), "plan": "small", "action": "end"}]

    def test_asks_first_and_ends_no_plan_that_has_run(
        self, ask: Server, town: Town, control: Any, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
        assert ask("end", "small").code == 1
        folder = town.server.run_folder(town.plan)
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
        said = ask("end", "small", "--yes")
        assert (said.code, "has run" in said.text, control.submitted) == (2, True, [])
