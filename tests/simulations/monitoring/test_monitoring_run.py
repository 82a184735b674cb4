"""A plan of counts carried out in process: its noise, its charge, and what several of them cost together."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
import numpy as np
import pytest
from counted_loans import counts_plan, loans
from independent import composed
from ledger_entries import folded, opening
from ledger_files import approval, reserve

import sealscore
from sealscore.clients.node.admission import NotApproved, admit
from sealscore.compliance.figures.registry import registry_record
from sealscore.compliance.run_figures.record import NotARun, RunFolder
from sealscore.compliance.run_report.counts_report import LOST, counts_report
from sealscore.compliance.run_report.run_report import write_report
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.server.releases.making import make_release
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.budget_check import BudgetCheck
from sealscore.shared.monitoring.counting import first_passages
from sealscore.shared.monitoring.text import watch_text
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.serving.release import ReleaseError
from sealscore.simulations import cli
from sealscore.simulations.audit.audited import Setting
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import Federation
from sealscore.simulations.experiments.job import released, run_job
from sealscore.simulations.monitoring.job import run_monitoring
from sealscore.simulations.neighbours.watch import watch_scenario
from sealscore.simulations.research.comparison import listed_runs

PARTIES = ("lender-1", "lender-2", "lender-3")


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path, np.ndarray]:
    plan, folder = counts_plan(), tmp_path_factory.mktemp("counts")
    records = {name: loans(plan, 3000, place, 2000) for place, name in enumerate(PARTIES)}
    Federation.of(plan, records, None, folder / "ledgers").run(folder)
    return plan, folder, sum(first_passages(plan, part.columns) for part in records.values())  # type: ignore[return-value]


def test_its_report_is_a_page_of_shifts_rates_and_loans(carried_out: tuple[Plan, Path, np.ndarray], tmp_path: Path):
    _, folder, _ = carried_out
    text = write_report(folder, tmp_path / "page.html").read_text("utf-8")
    assert "<script" not in text
    record = json.loads((folder / "run.json").read_text())
    assert "<svg" not in text  # so few loans show no shift
    assert text.count(f">{LOST}<") == sum(
        one["value"] is None for name in ("counts", "rates") for one in record["monitoring"][name]
    )
    # A month that shows one, above its threshold, and one that is hidden.
    shifts = record["monitoring"]["shifts"]
    seen = {"value": 0.3, "low": 0.1, "high": 0.5, "threshold": 0.2, "moved": True}
    record["monitoring"]["shifts"] = [shifts[0] | seen, shifts[1] | seen | {"value": 0.1, "moved": False}, shifts[2]]
    text = counts_report(record)
    assert text.count("<svg") == 1
    assert f"{shifts[0]['what']} in {shifts[0]['row']}" in text
    assert f"in {shifts[1]['row']}" not in text
    assert shifts[2]["row"] in text.split("<svg")[1].split("</figure>")[0] + text.split("<svg")[0]


def test_the_noise_of_the_tables_is_that_which_is_claimed(carried_out: tuple[Plan, Path, np.ndarray]):
    _, folder, exact = carried_out
    record = json.loads((folder / "run.json").read_text())
    noisy = np.array(record["monitoring"]["tables"]["sector_0"]["counts"]).ravel()
    error = noisy - exact
    stated = record["monitoring"]["noise_std"]
    # 288 cells: the deviation of their deviation is about 4 % of it.
    assert np.std(error) == pytest.approx(stated, rel=0.15)
    assert abs(np.mean(error)) < 4 * stated / np.sqrt(len(error))
    assert (folder / "watch.txt").read_text().splitlines() == watch_text(record)


def test_the_ledgers_charge_everybody_and_verify(carried_out: tuple[Plan, Path, np.ndarray]):
    plan, folder, _ = carried_out
    enrolled = Plan.from_canonical((folder / "plan.json").read_bytes())
    for name in PARTIES:
        found = verify_ledger(folder / "ledgers" / f"{name}.db", simulation=True)
        assert found.ok, found.findings
        (state,) = found.state.plans.values()
        assert state.plan.purpose_code == "monitoring"
        (entry,) = [one.entry for one in state.reservations.values()]
        assert entry.part == "all"
        by_hand = composed([(entry.event.model_dump(mode="json"), 1)], plan.privacy.delta)
        assert BudgetCheck().epsilon(found.state) == pytest.approx(by_hand, rel=1e-3)
        both = composed([(entry.event.model_dump(mode="json"), 2)], plan.privacy.delta)
        assert 0.99 * plan.privacy.epsilon < both <= plan.privacy.epsilon  # with the spare attempt
    (deployment,) = registry_record([verify_ledger(folder / "ledgers" / "lender-1.db", simulation=True)])["deployments"]
    assert deployment["plan"] == enrolled.hash
    assert deployment["deployment"]["product"]["data_product_type"] == "Summary statistics"


def test_what_reads_models_says_that_there_is_none(carried_out: tuple[Plan, Path, np.ndarray], tmp_path: Path):
    plan, folder, _ = carried_out
    with pytest.raises(NotARun, match=r"watch\.txt"):
        RunFolder.load(folder)
    with pytest.raises(ReleaseError, match="no model"):
        make_release(folder, tmp_path / "release", released(plan))


def test_plans_over_disjoint_months_compose_in_sequence():
    """A person can have loans in the months of both, and a corrected table moves loans from one to the other."""
    first = counts_plan(monitoring__last_month="2025-12", outcome__cutoff="2025-12-31")
    second = counts_plan(monitoring__first_month="2026-01")
    events = [Mechanisms(plan).event(Mechanisms(plan).phases[0]).model_dump(mode="json") for plan in (first, second)]
    entries = [opening(), approval(first), approval(second)]
    entries += [reserve(plan, Kind.PASSAGES) for plan in (first, second)]
    by_hand = composed([(event, 1) for event in events], 1e-5)
    figure = BudgetCheck().epsilon(folded(entries))
    assert figure == pytest.approx(by_hand, rel=2e-3)
    alone = BudgetCheck().epsilon(folded([*entries[:2], entries[3]]))
    assert 1.2 * alone < figure < 2 * alone


def test_a_plan_of_counts_adds_up_with_training_and_with_evaluation():
    from builders import small_plan

    trains, counts = small_plan(privacy__epsilon=2.0), counts_plan()
    made = Mechanisms(trains)
    entries = [opening(), approval(trains), approval(counts)]
    entries += [reserve(trains, phase.kind) for phase in made.phases] + [reserve(counts, Kind.PASSAGES)]
    events = [(made.event(phase).model_dump(mode="json"), 1) for phase in made.phases]
    counted = Mechanisms(counts)
    events.append((counted.event(counted.phases[0]).model_dump(mode="json"), 1))
    assert BudgetCheck().epsilon(folded(entries)) == pytest.approx(composed(events, 1e-5), rel=5e-3)


class TestRefusals:
    def test_a_real_node_answers_no_plan_that_would_show_nothing(self):
        weak, identity = counts_plan(privacy__epsilon=0.1), Identity.generate("lender-1", "lender")
        for plan, refused in ((weak, True), (counts_plan(), False)):
            cards = {name: Identity.generate(name, "lender").card.text for name in PARTIES[1:]}
            data = plan.model_dump(mode="json")
            data["server_card"] = Identity.generate(SERVER, "server").card.text
            data["parties"] = [
                party | {"card": cards.get(party["name"], identity.card.text)} for party in data["parties"]
            ]
            if refused:
                with pytest.raises(NotApproved, match=r"privacy\.epsilon"):
                    admit(Plan.parse(data), "lender-1", identity, "system")
            else:
                admit(Plan.parse(data), "lender-1", identity, "system")

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"purpose_code": "credit-scoring"}, "purpose_code"),
            ({"evaluation__cells": 16}, "evaluation"),
            ({"privacy__shares__bins": 0.1}, "privacy.shares"),
            ({"privacy__label_epsilon": 1.0}, "privacy.label_epsilon"),
            ({"outcome__cutoff": "2026-12-30"}, "outcome.cutoff"),
            ({"monitoring__last_month": "2024-12"}, "last_month"),
            ({"monitoring__reference_months": 24}, "reference_months"),
            ({"monitoring__by": {"age": []}}, "monitoring.by.age"),
            ({"monitoring__by": {"sector_0": [1.0]}}, "monitoring.by.sector_0"),
            ({"monitoring__by": {"days_30": [1.0]}}, "monitoring.by.days_30"),
            ({"groups__lender__table__label": "bad"}, "label"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_plan_that_counts_and_says_more_is_none(self, changes: dict[str, object], key: str):
        with pytest.raises(PlanError, match=key.replace(".", r"\.")):
            counts_plan(**changes)

    def test_a_plan_without_the_months_of_loans_is_none(self):
        table = counts_plan().groups["lender"].table.model_dump(mode="json")
        table["features"] = [one for one in table["features"] if one["name"] != "days_60"]
        with pytest.raises(PlanError, match="days_60"):
            counts_plan(groups__lender__table=table)


def test_a_party_without_loans_answers_with_noise(tmp_path: Path):
    plan = counts_plan(seed=9)
    records = {name: loans(plan, 0) for name in PARTIES}
    Federation.of(plan, records, None, tmp_path / "ledgers").run(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert len(record["monitoring"]["shifts"]) == 18
    assert all(one["value"] is None for one in record["monitoring"]["shifts"])


def test_records_of_who_withdrew_are_not_counted(tmp_path: Path):
    from sealscore.shared.persons.consent import Consent

    plan = counts_plan(seed=11, privacy__noise="none")
    records = {name: loans(plan, 400, place) for place, name in enumerate(PARTIES)}
    there = (Consent("federation", purpose="monitoring"),)
    half = {
        name: dataclasses.replace(part, consent=tuple(there if place % 2 else () for place in range(len(part))))
        for name, part in records.items()
    }
    Federation.of(plan, half).run(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    exact = sum(first_passages(plan, part.take(np.arange(len(part)) % 2 == 1).columns) for part in records.values())
    assert np.array_equal(np.array(record["monitoring"]["tables"]["sector_0"]["counts"]).ravel(), exact)


@pytest.fixture
def small_world(tmp_path: Path) -> Path:
    """The packaged plan on a world of 600 creators."""
    path = tmp_path / "few.toml"
    path.write_text(f'extends = "{PLANS / "creators_monitoring.toml"}"\nname = "few"\n[simulation]\ncreators = 600\n')
    return path


def test_the_command_runs_the_packaged_plan_on_a_small_world(
    small_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs = tmp_path / "runs"
    cli.app(["run", str(small_world), "--json", "--runs", str(runs)], standalone_mode=False)
    said = json.loads(capsys.readouterr().out)
    (folder,) = runs.iterdir()
    assert said["monitoring"] == json.loads((folder / "run.json").read_text())["monitoring"]
    exact = json.loads((folder / "oracle.json").read_text())["tables"]["bureau_score"]
    counted = np.array(exact)
    assert counted.shape == (18, 4, 6)
    # Nobody is first 60 days past due before 30, and loans that never passed are many.
    opened, *passed = counted.sum(axis=(0, 2)).tolist()
    assert opened > passed[0] >= passed[1] >= passed[2] > 0
    cli.app(["list", "--runs", str(runs)], standalone_mode=False)
    with pytest.raises(click.UsageError):
        cli.app(["compare", "last", "last", "--runs", str(runs)], standalone_mode=False)


def test_what_judges_models_refuses_a_plan_of_counts(small_world: Path):
    scenario = Scenario.load(small_world)
    for refused in (lambda: run_job(scenario), lambda: Setting.of(scenario.plan)):
        with pytest.raises(PlanError, match="monitoring"):
            refused()


def test_in_python_a_plan_of_counts_is_refused_before_anything_is_left(small_world: Path, tmp_path: Path):
    with pytest.raises(PlanError, match="sealscore-sim run shows its figures"):
        sealscore.simulate(small_world, runs=tmp_path / "runs", simulation__creators=300)
    assert not (tmp_path / "runs").exists()


def test_the_list_has_a_run_of_counts_without_figures_of_a_score(small_world: Path, tmp_path: Path):
    run = run_monitoring(Scenario.load(small_world).replace(simulation__creators=300), runs=tmp_path / "runs")
    (row,) = listed_runs([run]).to_dicts()
    assert (row["run"], row["auc"]) == (run.folder.name, None)


def test_nobody_moves_the_counts_of_the_packaged_plan_by_more_than_is_claimed(small_world: Path):
    found = watch_scenario(Scenario.load(small_world), 4, 1)
    assert [str(finding) for finding in found.findings] == []
    ((phase, (moved, _)),) = found.largest().items()
    assert phase == "count_passages:lender"
    assert 0 < moved.distance <= moved.allowed == pytest.approx(12.0)
