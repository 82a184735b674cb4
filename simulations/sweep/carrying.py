"""What a sweep does with the runs that come in: keep each row, tell of each run, and judge the best setting on test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import closing
from dataclasses import replace

from sealscore.shared.text.numbers import plural
from sealscore.simulations.experiments.job import RunFailed
from sealscore.simulations.experiments.judges import TEST, VALIDATION
from sealscore.simulations.sweep.config import Task
from sealscore.simulations.sweep.results import Results, shown
from sealscore.simulations.sweep.row import Done, Row, carry_out
from sealscore.simulations.sweep.store import Store
from sealscore.simulations.tracking.tracked import Tracker

Heard = Callable[[str, str | None], None]
"""Told of each run: what it is called, and why it failed, or None."""


def in_this_process(tasks: Iterable[Task], track: bool = False) -> Generator[Done, None, None]:
    """Carry out tasks one after the other, and give each run as it is done."""
    for task in tasks:
        yield carry_out(task, track=track)


Carried = Callable[[list[Task]], Iterable[Done]]


def collected(
    store: Store, runs: Generator[Done, None, None], heard: Heard, tracker: Tracker | None = None
) -> dict[str, str]:
    """Keep the rows of what was missing, each as soon as it is there; what failed, by run.

    Raises:
        TrackingFailed: `tracker` did not take a run, which is then missing still.
    """
    differing = {key for key in store.sweep.keys if len({task.keys[key] for task in store.sweep.tasks}) > 1}
    named = {task.id: run_name(task, differing) for task in store.missing()}
    failures: dict[str, str] = {}
    with closing(runs):
        for done in runs if named else ():
            if done.row is not None:
                if tracker is not None and done.tracked is not None:
                    tracker.keep(replace(done.tracked, name=f"{store.sweep.name}: {named[done.id]}"))
                store.add(done.row)
                store.write_table()
            else:
                failures[named[done.id]] = str(done.failure)
            heard(named[done.id], done.failure if done.row is None else None)
    return failures


def stopped(store: Store) -> str:
    """What is said after Ctrl-C."""
    kept = plural(store.write_table().height, "finished run")
    return f"stopped; {kept} kept, and the same command goes on from there"


def judged_best(store: Store, tell: Callable[[str], None], carried: Carried = in_this_process) -> Row | None:
    """Run the setting that validation chose on the test persons, once; its row, None where nothing was chosen.

    Raises:
        RunFailed: that run failed.
    """
    results = Results.read(store.folder)
    if results.judge != VALIDATION or len(results.settings) < 2:
        return None
    ranked = [(spread.mean, setting) for setting in results.settings if (spread := setting.spread("auc"))]
    _, chosen = max(ranked, key=lambda one: one[0])
    first = str(chosen.rows.sort("seed")["id"][0])
    task = replace(next(task for task in store.sweep.tasks if task.id == first), judge=TEST)
    if (known := store.best()) is not None and known["id"] == task.id:
        return known
    tell(f"best on validation: {chosen.name}; judged once on test")
    (done,) = carried([task])
    if done.row is None:
        raise RunFailed("the best setting failed on test", [str(done.failure)])
    row = done.row | {"chosen": chosen.name}
    store.keep_best(row)
    tell(f"on test: AUC {row['auc']:.4f}, KS {row['ks']:.4f}")
    return row


def run_name(task: Task, differing: Collection[str]) -> str:
    """What a run is called: its label, or the keys by which runs differ."""
    keys = {key: value for key, value in task.keys.items() if key in differing and value is not None}
    told = [task.label] if task.label else [shown(key, value) for key, value in keys.items()]
    return ", ".join([*told, f"seed {task.scenario.plan.seed}"])
