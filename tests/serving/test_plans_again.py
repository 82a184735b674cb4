"""The same parties train again: what the defaults allow, what is told before, and what is told of whom."""

from __future__ import annotations

from contextlib import closing

import pytest
import tomli_w
from partners import Partners
from plans_carried import SIGNAL_BITS, carried_out, no_ceiling_of_epsilon
from serving_town import plan_of
from vertical_builders import PARTIES

from sealscore.compliance.ledger_report.report import write_compliance_report
from sealscore.compliance.run_figures.record import RunFolder
from sealscore.compliance.run_report.run_report import run_report
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.server.run.earlier_run import check_earlier_run
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import KINDS
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.release import ReleaseContent

pytestmark = pytest.mark.slow


def test_a_second_and_a_third_plan_are_told_levels_and_a_fourth_is_known_not_to_fit(partners: Partners):
    town, told = partners.town, []
    for name in PARTIES:
        no_ceiling_of_epsilon(partners, name)
    for number in (2, 3):
        plan = plan_of(town.server, name=f"plan-{number}", seed=number, privacy__signal_bits=SIGNAL_BITS)
        (town.server.plans / f"{plan.name}.json").write_bytes(plan.canonical())
        bits = plan.model.signal_bits
        said = partners.node("video-1", "plan", "show", town.server.plans / f"{plan.name}.json")
        left = SIGNAL_BITS - number * bits
        assert f"{(number - 1) * bits} used, {bits} needed by this plan, {left} left of {SIGNAL_BITS}" in said.text
        assert "in the way" not in said.text
        carried_out(partners.town, plan)
        found = verify_ledger(town.node("video-1").ledger_file)
        assert found.ok, found.findings
        told.append(found.signal_bits)
        with closing(town.node("video-1").disclosure_store()) as store:
            assert len(store.meanings("signal")) == number
    assert told == [6, 9]
    fourth = plan_of(town.server, name="plan-4", seed=4, privacy__signal_bits=9)
    (town.server.plans / "plan-4.json").write_bytes(fourth.canonical())
    said = partners.node("video-1", "plan", "show", town.server.plans / "plan-4.json")
    assert said.code == 1
    assert "privacy.signal_bits = 9 of the plan, to 12" in said.text
    assert "under [budget]" not in said.text


def test_the_head_alone_is_trained_again_and_released_with_the_towers_that_told(partners: Partners):
    town = partners.town
    partners.prepared()
    person, row = partners.shared_person("video-1", "wallet")
    assert partners.token("wallet", person).code == 0
    for name in PARTIES:
        no_ceiling_of_epsilon(partners, name)
    first = town.release()
    plan = town.plan.replace(
        name="again",
        seed=11,
        signals_from={"plan": town.plan.hash, "meanings": {g: told.meaning for g, told in first.manifest.told.items()}},
        privacy__label_epsilon=None,
        evaluation__groups={"age": [40]},
    )
    path = town.server.plans / "again.json"
    path.write_bytes(plan.canonical())
    for name in ("video-1", "lender-1"):
        assert "in the way" not in partners.good(name, "plan", "show", path).text
    assert "0 needed by this plan" in partners.good("wallet", "plan", "show", path).text
    crafted = partners.file("crafted.json")
    crafted.write_bytes(plan.replace(signals_from__meanings__wallet="0" * 64).canonical())
    said = partners.node("wallet", "plan", "show", crafted)
    assert (said.code, "signals_from.plan" in said.text) == (1, True)
    before = {}
    for name in PARTIES:
        with closing(town.node(name).disclosure_store()) as store:
            before[name] = store.head
    carried_out(partners.town, plan)
    for name in PARTIES:
        with closing(town.node(name).disclosure_store()) as store:
            assert store.head == before[name]
        found = verify_ledger(town.node(name).ledger_file)
        assert found.ok, found.findings
    report = write_compliance_report(
        [town.node(name).ledger_file for name in PARTIES],
        partners.file("report.html"),
        run=town.server.run_folder(plan),
    )
    assert report.stat().st_size
    assert KINDS[Kind.REUSE].title in run_report(RunFolder.load(town.server.run_folder(plan)))

    # A release of it serves the towers that told, so a token that was made before fits.
    said = partners.server("release", "new", "again", "--name", "second")
    assert said.code == 0, said.text
    second = town.release("second")
    assert second.manifest.told == first.manifest.told
    assert second.content.model.card["plan"] == plan.hash
    for name in ("lender-1", "wallet", "video-1"):
        partners.good(name, "release", "approve", town.server.releases / "second", "--yes", "--unranked")
    partners.good("lender-1", "release", "use", "second")
    answer = partners.scored(town.application(person, row, tokens=partners.tokens("wallet-k1")))
    assert ("wallet", "used") in {(signal["kind"], signal["status"]) for signal in answer["signals"]}
    assert answer["model"]["release"] == second.hash


@pytest.mark.parametrize("change", ["gone", "part", "meaning"])
def test_a_server_runs_no_such_plan_without_the_towers_that_told(partners: Partners, change: str):
    town, (folder,) = partners.town, partners.town.server.folder.glob("runs/*")
    meanings = {"video": "0" * 64, "wallet": "0" * 64}
    if change != "meaning":
        content = ReleaseContent.read(folder)
        meanings = {group: tower.meaning for group, tower in content.towers.items()}
    plan = town.plan.replace(
        signals_from={"plan": town.plan.hash, "meanings": meanings},
        privacy__label_epsilon=None,
        evaluation__groups={"age": [40]},
    )
    if change == "gone":
        folder.rename(town.folder / "elsewhere")
    elif change == "part":
        (folder / "signals" / "wallet" / "edges").unlink()
    else:
        assert town.server.earlier_run(plan) == folder
    with pytest.raises(PlanError, match="signals_from"):
        check_earlier_run(plan, town.server.earlier_run(plan))


@pytest.mark.parametrize("good", [False, True])
def test_a_plan_is_signed_only_with_the_towers_that_told(partners: Partners, good: bool):
    town, (folder,) = partners.town, partners.town.server.folder.glob("runs/*")
    told = {group: tower.meaning for group, tower in ReleaseContent.read(folder).towers.items()}
    data = town.plan.model_dump(exclude_none=True, exclude={"server_card", "bundle"})
    del data["privacy"]["label_epsilon"], data["evaluation"]["groups"]["region"]
    for party in data["parties"]:
        del party["card"]
    meanings = told if good else told | {"wallet": "0" * 64}
    data |= {"name": "again", "signals_from": {"plan": town.plan.hash, "meanings": meanings}}
    (town.server.plans / "again.toml").write_text(tomli_w.dumps(data), encoding="utf-8")
    said = partners.server("plan", "sign", "again")
    assert said.code == (0 if good else 2), said.text
    assert (town.server.plans / "again.json").exists() == good
    assert good or told["wallet"] in "".join(said.text.split())


def test_a_plan_for_the_head_alone_is_made_and_signed_by_command(partners: Partners):
    town = partners.town
    said = partners.server("plan", "retrain", "again", "--of", town.plan.name, "--records", "lender-1=700")
    assert said.code == 0, said.text
    assert partners.server("plan", "sign", "again").code == 0
    plan = town.server.signed_plans()["again"]
    assert plan.signals_from is not None
    assert plan.signals_from.plan == town.plan.hash
    assert plan.party("lender-1").nominal_records == 700
    assert plan.groups == town.plan.groups
    no_ceiling_of_epsilon(partners, "wallet")
    said = partners.good("wallet", "plan", "show", town.server.plans / "again.json")
    assert "0 needed by this plan" in said.text
    # Once more from the second one: the levels are those of the first, and a name is used once.
    assert partners.server("plan", "retrain", "again", "--of", town.plan.name).code == 2
    assert partners.server("plan", "retrain", "third", "--of", "again").code == 2
