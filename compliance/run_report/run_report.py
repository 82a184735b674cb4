"""The report of a run: `report.html` in its folder, one page for compliance reviewers, researchers and partners."""

from __future__ import annotations

from pathlib import Path

from sealscore.compliance.pages.glossary import glossary
from sealscore.compliance.pages.page import Html, Page, element, join, pairs, paragraph
from sealscore.compliance.pages.software import own_version
from sealscore.compliance.run_figures.findings import Findings
from sealscore.compliance.run_figures.record import RunFolder, counts_record
from sealscore.compliance.run_report.comparison_sections import baselines, scorecard
from sealscore.compliance.run_report.counts_report import counts_report
from sealscore.compliance.run_report.fairness_section import fairness_section
from sealscore.compliance.run_report.overview import glance
from sealscore.compliance.run_report.party_sections import parties, training
from sealscore.compliance.run_report.privacy_sections import guarantee, spending, who_saw_what
from sealscore.compliance.run_report.quality_sections import quality
from sealscore.compliance.run_report.segments_section import segments_section
from sealscore.shared.files import write_whole
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.foreign import grouped
from sealscore.shared.text.numbers import percent, plural, short, whole

REPORT = "report.html"


def write_report(run_folder: Path, output: Path | None = None) -> Path:
    """Write the report of a run, by default as `report.html` into its folder; returns where it is.

    All that it says "by the protocol" follows from what was released; what only a simulation knows is taken from
    `oracle.json`, is marked so, and is left out where there is none. The same folder gives the same bytes. Of a run of
    counts it is the page of its figures.

    Raises:
        NotARun: the folder holds no whole run.
        OSError: the report cannot be written.
    """
    target = output or run_folder / REPORT
    counted = counts_record(run_folder)
    write_whole(target, run_report(RunFolder.load(run_folder)) if counted is None else counts_report(counted))
    return target


def run_report(run: RunFolder) -> str:
    """The report of a run as a whole document."""
    found = Findings.of(run)
    record, plan = run.record, run.plan
    page = Page(
        f"Run report: {plan.name}",
        f"run {record['run']}, started {record['started']}; plan {grouped(plan.hash)}, seed {plan.seed}",
    )
    page.section("At a glance", glance(found))
    page.section("The privacy guarantee", guarantee(found))
    page.section("How good the score is", quality(found))
    page.section("Compared with going alone and with pooling", baselines(found))
    if segments := segments_section(found):
        page.section("Where the federation helps", segments)
    page.section("How the score treats groups", fairness_section(found))
    page.section("What moves the score", scorecard(found))
    page.section("Privacy spent, by phase and round", spending(found))
    page.section("Who saw what", who_saw_what(found))
    page.section("Parties, traffic and failures", parties(found))
    page.section("How training went", training(found))
    page.section("Glossary", pairs(glossary(bool(plan.platforms), found.simulated)))
    page.section("Record", _record(found))
    return page.render()


def _record(found: Findings) -> Html:
    run = found.run
    plan, record = run.plan, run.record
    split = plan.evaluation.split
    stated: list[tuple[object, object]] = [
        ("plan", f"{plan.name}, version {plan.version} of the form"),
        ("hash of the plan", element("code", plan.hash)),
        ("run", record["run"]),
        ("started", record["started"]),
        ("test persons", f"{percent(split.test_fraction)}, split by {split.kind}"),
        ("model", _model(found)),
        ("training", _training(plan)),
        ("accountant", record["privacy"]["accountant"]),
        ("Sealscore", own_version()),
    ]
    if run.oracle is not None:
        data = {name: value for name, value in run.oracle.get("data", {}).items() if value is not None}
        stated.append(("data (simulation)", ", ".join(f"{name} {value}" for name, value in sorted(data.items()))))
    said = paragraph(
        "The whole plan stands beside this report in plan.json, and the record in run.json.", class_="note"
    )
    return join([pairs(stated), said])


def _training(plan: Plan) -> str:
    training = plan.training
    if training.auto:
        return f"the additive recipe, {whole(training.rounds)} rounds"
    return f"{training.algorithm}, {whole(training.rounds)} rounds, engine {training.engine}"


def _model(found: Findings) -> str:
    plan, published = found.run.plan, found.run.model
    bins = f"weighted bins (at most {bin_rule(plan, plan.lenders).bins} a feature)"
    if isinstance(published.weights, TableScore):
        pairs = len(published.weights.tables.pairs)
        return f"{bins}, tables of {plural(pairs, 'pair')} of features; calibrated by a curve"
    network = f", a network of {plan.model.hidden} units beside them" if plan.model.hidden else ""
    slope, intercept = published.calibration.slope, published.calibration.intercept
    return f"{bins}{network}; calibration slope {short(slope)}, intercept {short(intercept)}"
