"""From a plan and an exchange to a folder: what a run leaves behind is what the server may know."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.server.run.coordinator import Coordinator, RunOutcome, WatchOutcome
from sealscore.server.run.earlier_run import SIGNALS, TOWERS, check_earlier_run, take_over
from sealscore.server.run.kept_scores import SCORES, kept_scores
from sealscore.server.run.progress.file import FileObserver
from sealscore.server.run.rounds import Observer, StepObserver
from sealscore.server.run.run_files import PROGRESS, RECEIPTS, WATCH
from sealscore.server.run.run_journal import RunJournal
from sealscore.server.transport.exchange import ClearMessenger, Exchange, Messenger
from sealscore.server.transport.sealed import Receipts, SealedExchange
from sealscore.shared.crypto.aggregation import Aggregation, PlainSum
from sealscore.shared.dp.accountant import OpacusAccountant, PldAccountant
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.files import write_whole
from sealscore.shared.identity.identity import Identity
from sealscore.shared.model.released.score_tables import OVERALL, ScoreTables
from sealscore.shared.model.released.table_figures import TableFigures
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.monitoring.figures import WatchFigures
from sealscore.shared.monitoring.text import watch_text
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import FALLBACK, SERVER, Plan

# What `run.json` says of a run among real parties; simulations name their engine.
DEPLOYED = "deployed"


def run_coordinator(
    plan_bytes: bytes,
    exchange: Exchange,
    output: Path,
    run: str | None = None,
    observer: Observer | None = None,
    aggregation: Aggregation | None = None,
    patience: float = 60.0,
    timeout: float | None = 120.0,
    identity: Identity | None = None,
    receipts: Path | None = None,
    journal: Path | None = None,
    absence: float = 0.0,
    earlier: Path | None = None,
    engine: str = DEPLOYED,
    calibrated: Path | None = None,
) -> None:
    """Carry out the plan (its canonical bytes) and leave `plan.json`, `model/`, `run.json`, `rounds.parquet`.

    A plan of counts leaves no model; its figures are in `run.json`, and as text in `watch.txt`.

    The towers of platforms, whose logits become signals, are left under `towers/`, by group, and the parts from which
    their levels follow under `signals/`, as they were published. The score without signals is left in `fallback/`, and
    under `scores/` what parties were asked for of both, which a later plan can calibrate again.

    `run` names the run in every message; by default it follows from the plan, which runs once in a node's history.
    A plan that names cards is carried out behind seals, under `identity`; the server of a simulated plan has the one
    that follows from the plan's seed. `receipts` is the server's file of them over all runs, by default one of the
    output. With a `journal`, a run that was killed continues when it is carried out again; without one it
    is kept in memory. For `absence` seconds a party may be away that is needed. `earlier` is the folder of the run
    from which the plan takes its signals: its towers are copied. `calibrated` is that of the run whose scores the plan
    keeps. `run.json` is written last: a folder without it is not a whole run. `engine` is what it says of how the run
    was carried out.

    Raises:
        PlanError: the plan takes signals or scores from an earlier one, and the folder is not that of its run.
    """
    plan = Plan.from_canonical(plan_bytes)
    check_earlier_run(plan, earlier)
    kept = kept_scores(plan, calibrated)
    output.mkdir(parents=True, exist_ok=True)
    name = run or run_name(plan)
    held = RunJournal(plan.hash, name, journal, exchange.traffic.summary)
    observer = observer or FileObserver(output / PROGRESS)  # only now: another process may have the journal
    observer = _Marking(observer, held)
    with ExitStack() as stack:
        stack.callback(held.close)
        messenger: Messenger = ClearMessenger(exchange)
        if plan.enrolled:
            server = identity or Identity.simulated(plan.seed, SERVER, "server")
            keeps = Receipts(server, receipts or output / RECEIPTS)
            messenger = stack.enter_context(closing(SealedExchange(exchange, plan, name, server, keeps, held)))
        sums = aggregation or PlainSum()
        coordinator = Coordinator(plan, name, messenger, sums, observer, patience, timeout, held, absence, kept=kept)
        try:
            outcome = coordinator.carry_out()
        finally:
            whole = held.whole()
    carriage = Carriage(engine, protection(plan, plan.enrolled), whole.traffic, whole.tries)
    leave_results(plan, name, outcome, output, whole.started, carriage, earlier)


class _Marking:
    """An observer that has the journal keep how far the run is, after each round."""

    def __init__(self, observer: Observer, journal: RunJournal) -> None:
        self._observer, self._journal = observer, journal

    def phase(self, phase: Phase) -> None:
        self._observer.phase(phase)

    def round(self, row: dict[str, Any]) -> None:
        self._journal.mark()
        self._observer.round(row)

    def step(self, phase: Phase, done: int, total: int) -> None:
        if isinstance(self._observer, StepObserver):
            self._observer.step(phase, done, total)


@dataclass(frozen=True)
class Carriage:
    """How a run was carried out: by which engine, under what protection, and what went to and from each party.

    `traffic` is None where nothing was sent. `tries` are the start (seconds since 1970) and the seconds at work of the
    first try and of each that continued the run; none where it cannot be continued.
    """

    engine: str
    protection: dict[str, str]
    traffic: dict[str, Any] | None
    tries: list[dict[str, Any]] = field(default_factory=list)


def leave_results(
    plan: Plan,
    run: str,
    outcome: RunOutcome | WatchOutcome,
    output: Path,
    started: float,
    carriage: Carriage,
    earlier: Path | None = None,
) -> None:
    """Write what a run gave into its folder, as `run_coordinator` says; `started` is in seconds since 1970."""
    write_whole(output / "plan.json", plan.canonical())
    record = _record(plan, run, outcome, carriage, started)
    if isinstance(outcome, WatchOutcome):
        record["monitoring"] = WatchFigures.of(plan, outcome.values, outcome.noise).as_record(plan, outcome.values)
        write_whole(output / WATCH, "\n".join(watch_text(record)) + "\n")
    else:
        record |= _judged(outcome)
        _save_models(plan, outcome, output, earlier)
    pl.DataFrame(_flat(outcome.rows)).write_parquet(output / "rounds.parquet")
    write_whole(output / "run.json", json.dumps(record, indent=2, sort_keys=True) + "\n")


def _save_models(plan: Plan, outcome: RunOutcome, output: Path, earlier: Path | None) -> None:
    outcome.model.save(output / "model")
    for group, tower in outcome.towers.items():
        tower.save(output / TOWERS / group)
    for group, parts in outcome.signals.items():
        folder = output / SIGNALS / group
        folder.mkdir(parents=True, exist_ok=True)
        for part, body in parts.items():
            write_whole(folder / part, body)
    for scored, score in outcome.scores.items():
        score.save(output / SCORES / scored)
    take_over(plan, earlier, output)
    if outcome.fallback is not None:
        outcome.fallback.save(output / FALLBACK)


def run_name(plan: Plan) -> str:
    """The name of a plan's one run, where none is given."""
    return f"run-{plan.hash[:16]}"


def _flat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = {name: None for row in rows for name in row}
    return [{name: len(row[name]) if name == "failures" else row.get(name) for name in names} for row in rows]


def _record(
    plan: Plan, run: str, outcome: RunOutcome | WatchOutcome, carriage: Carriage, started: float
) -> dict[str, Any]:
    traffic = carriage.traffic or {"parties": {}, "couriers": {}}
    crossed = {} if carriage.traffic is None else outcome.crossed
    moved = [flow["bytes_sent"] + flow["bytes_received"] for flow in traffic["parties"].values()]
    return {
        "plan": {"name": plan.name, "hash": plan.hash, "purpose": plan.purpose, "seed": plan.seed},
        "run": run,
        "started": _stamp(started),
        "seconds": sum(one["seconds"] for one in carriage.tries) if carriage.tries else time.time() - started,
        "tries": [{"started": _stamp(one["started"]), "seconds": one["seconds"]} for one in carriage.tries],
        "engine": carriage.engine,
        "protection": carriage.protection,
        "privacy": _privacy(plan, outcome),
        "early": outcome.early,
        "failures": [
            {"phase": row["phase"], "round": row["round"], "parties": row["failures"]}
            for row in outcome.rows
            if row["failures"]
        ],
        "answered": outcome.answered,
        "traffic": traffic,
        "bytes_per_party": None if carriage.traffic is None else max(moved, default=0),
        "payloads": [{"from": sender, "to": recipient, "bytes": size} for (sender, recipient), size in crossed.items()],
        "payload_bytes_per_applicant": _per_applicant(plan, crossed),
    }


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _judged(outcome: RunOutcome) -> dict[str, Any]:
    """Figures of the score, and the tables that they are from."""
    tables = outcome.tables
    return {"evaluation": _evaluation(tables, outcome.model), "score_tables": tables.as_record(), **_fallback(outcome)}


def _fallback(outcome: RunOutcome) -> dict[str, Any]:
    """The same of the fallback; nothing where there is none."""
    if outcome.fallback is None or outcome.fallback_tables is None:
        return {}
    tables = outcome.fallback_tables
    return {FALLBACK: _evaluation(tables, outcome.fallback), "fallback_tables": tables.as_record()}


def _evaluation(tables: ScoreTables, model: ScoreModel) -> dict[str, Any]:
    """Figures with intervals of all test persons, by all tables together, and of each band."""
    calibration = model.calibration
    known = {name: (table, tables.band_noise_std) for name, table in tables.tables.items()} | {OVERALL: tables.best}
    return {name: TableFigures.of(table, calibration, std).as_dict() for name, (table, std) in known.items()}


def protection(plan: Plan, sealed: bool) -> dict[str, str]:
    """What kept the server and peers from more than they are due, by the forms that the plan's parties used."""
    alignment = {"private": "psi", "exact": "exact"}[plan.alignment.method]
    if not sealed:
        return {"sums": "clear", "payloads": "clear", "alignment": alignment}
    return {"sums": "masked", "payloads": "sealed", "alignment": alignment}


def _per_applicant(plan: Plan, crossed: Mapping[tuple[str, str], int]) -> float | None:
    """Bytes of payloads between lenders and platforms over the nominal training applicants of the lenders."""
    if not crossed:
        return None
    applicants = sum(plan.nominal_training(party) for party in plan.members(plan.lenders))
    return sum(crossed.values()) / applicants


def _privacy(plan: Plan, outcome: RunOutcome | WatchOutcome) -> dict[str, Any]:
    """The claim for a person: planned for all attempts in the budget, and for those that may have been answered."""
    mechanisms = Mechanisms(plan)
    private = plan.privacy.noise != "none"

    def answered(phase: Phase) -> int:
        return max(outcome.answered.get(phase.name, {}).values(), default=0)

    pld = PldAccountant()
    return {
        "unit": "person",
        "neighbouring": "add-or-remove",
        "delta": plan.privacy.delta,
        "label_epsilon": plan.privacy.label_epsilon,
        "epsilon_of_plan": plan.privacy.epsilon if private else None,
        "epsilon_budgeted": mechanisms.claim() if private else None,
        "epsilon": mechanisms.claim(answered) if private else None,
        "epsilon_against_platforms": mechanisms.platform_claim(answered) if private else None,
        "signal_bits": plan.model.signal_bits if plan.platforms and plan.signals_from is None else None,
        "accountant": f"{pld.name} {pld.version}",
        "check": _check(mechanisms, answered) if private else None,
        "max_colluding": {name: group.max_colluding for name, group in plan.groups.items()},
        "phases": [
            {
                "phase": phase.name,
                "rounds": phase.rounds,
                "attempts_in_budget": phase.attempts,
                "attempts": answered(phase),
                "event": mechanisms.event(phase).model_dump(mode="json"),
            }
            for phase in mechanisms.phases
            if not phase.paired
        ],
    }


def _check(mechanisms: Mechanisms, answered: Any) -> dict[str, Any] | None:
    """The same claim by Opacus, where its accountants know every event of the plan."""
    accountant = OpacusAccountant("prv")
    if any(mechanisms.plan.multiplicity(group) > 1 for group in mechanisms.plan.groups):
        return None
    return {"accountant": f"{accountant.name} {accountant.version}", "epsilon": mechanisms.claim(answered, accountant)}
