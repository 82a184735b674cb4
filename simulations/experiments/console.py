"""What a run shows on the console: progress while it goes on, and a closing table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sealscore.shared.model.released.table_figures import Figure
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import FALLBACK
from sealscore.shared.text.numbers import between, recorded
from sealscore.shared.text.terminal import foreign
from sealscore.simulations.experiments.gains import SCORES, over_seeds, segment_name
from sealscore.simulations.experiments.runs import Run

METRICS = ("auc", "ks", "brier", "ece")


class ProgressObserver:
    """One bar a phase; also says in words what is done between phases. A context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._task: Any = None
        self._rounds: int | None = None

    def __enter__(self) -> ProgressObserver:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._progress.stop()

    def phase(self, phase: Phase) -> None:
        """Start the bar of a phase."""
        self._begin(phase.name, phase.rounds)

    def round(self, row: dict[str, Any]) -> None:
        """Move the bar of the phase on."""
        lost = f"without {foreign(', '.join(row['failures']))}" if row["failures"] else f"{row['cohort']} parties"
        self._progress.update(self._task, advance=1, note=lost)

    def progress(self, done: int, total: int) -> None:
        """Say how far an alignment or a baseline is, in its own unit: a bar of its own where no rounds are counted."""
        if self._rounds is None:
            self._progress.update(self._task, total=total, completed=done)
        else:
            self._progress.update(self._task, note=f"{done / total:.0%}")

    def tell(self, what: str) -> None:
        """Say what is being done, without a count."""
        self._begin(what, None)

    def _begin(self, what: str, total: int | None) -> None:
        self._end()
        self._rounds = total
        self._task = self._progress.add_task(what, total=total, note="")

    def _end(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of runs of one plan under several seeds, as one object."""

    def spread(values: list[float]) -> dict[str, float]:
        return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}

    noisy = [run.record["evaluation"]["all"] for run in runs]
    known = [figure for one in noisy if (figure := Figure.of_record(one, "auc")) is not None]
    interval = Figure.mean(known) if len(known) == len(runs) else None
    privacy = [run.record["privacy"] for run in runs]
    names = list(runs[0].oracle["baselines"])
    return {
        "plan": runs[0].record["plan"]["name"],
        "seeds": [run.record["plan"]["seed"] for run in runs],
        **{metric: spread([run.oracle["exact"][metric] for run in runs]) for metric in METRICS},
        **_fallback(runs, spread),
        "auc_dp": None if any(n["auc"] is None for n in noisy) else spread([n["auc"] for n in noisy]),
        "auc_dp_interval": None if interval is None else [interval.low, interval.high],
        "epsilon": max((p["epsilon"] for p in privacy if p["epsilon"] is not None), default=None),
        "delta": privacy[0]["delta"],
        "label_epsilon": privacy[0]["label_epsilon"],
        "seconds": float(np.mean([run.record["seconds"] for run in runs])),
        "engine": runs[0].record.get("engine"),
        # None where the research engine sent nothing.
        "bytes_per_party": max((size for run in runs if (size := run.record["bytes_per_party"])), default=None),
        "baselines": {name: float(np.mean([run.oracle["baselines"][name] for run in runs])) for name in names},
        "warnings": [
            {"code": code, "words": words}
            for code, words in dict.fromkeys(
                (warning["code"], warning["words"]) for run in runs for warning in run.oracle.get("warnings", ())
            )
        ],
        **({"segments": over_seeds([run.oracle["segments"] for run in runs])} if "segments" in runs[0].oracle else {}),
    }


def _fallback(runs: Sequence[Run], spread: Callable[[list[float]], dict[str, float]]) -> dict[str, Any]:
    """The exact figures of the fallback; nothing where there is none."""
    if FALLBACK not in runs[0].oracle:
        return {}
    return {FALLBACK: {metric: spread([run.oracle[FALLBACK][metric] for run in runs]) for metric in METRICS}}


def closing_table(console: Console, result: dict[str, Any]) -> None:
    """The figures of a plan beside its baselines."""
    epsilon = "no noise" if result["epsilon"] is None else f"epsilon {result['epsilon']:.3f}"
    seeds = f"{len(result['seeds'])} seed{'s' * (len(result['seeds']) > 1)}"
    table = Table(title=f"{foreign(result['plan'])}: {epsilon} for a person at delta {result['delta']:g}, {seeds}")
    table.add_column("")
    for name in ("AUC", "KS", "Brier", "ECE"):
        table.add_column(name, justify="right")

    def cells(figures: dict[str, Any], style: str = "") -> list[str]:
        def cell(mean: float, sd: float) -> str:
            return f"{style}{mean:.4f} ± {sd:.4f}" if len(result["seeds"]) > 1 else f"{style}{mean:.4f}"

        return [cell(**figures[metric]) for metric in METRICS]

    table.add_row("[bold]exact", *cells(result, "[bold]"))
    released = {"auc": (result["auc_dp"] or {}).get("mean"), "intervals": {"auc": result["auc_dp_interval"]}}
    table.add_row("noisy, by the protocol", recorded(released, "auc"), "", "", "")
    if FALLBACK in result:
        table.add_row("fallback, without signals", *cells(result[FALLBACK]))
    for name, auc in result["baselines"].items():
        table.add_row(foreign(name), f"{auc:.4f}", "", "", "")
    console.print(table)
    if "segments" in result:
        segments_table(console, result["segments"])
    for warning in result["warnings"]:
        console.print(f"[yellow]warning ({warning['code']}): {foreign(warning['words'])}")
    size = result["bytes_per_party"]
    moved = "nothing was sealed or sent" if size is None else f"{size / 1e6:.2f} MB to and from a party"
    console.print(f"{result['seconds']:.1f} s a run, {moved}")


def segments_table(console: Console, found: dict[str, Any]) -> None:
    """What the federation gives over going alone, by segment of the test loans."""
    table = Table(title="AUC by segment of the test loans; alone is each loan's own lender")
    table.add_column("", no_wrap=True)
    for name in ("loans", *SCORES.values()):
        table.add_column(name, justify="right")
    for row in found["rows"]:
        figures = (row["auc"][score] for score in SCORES)
        shown = ("too few" if value is None else f"{value:.4f}" for value in figures)
        table.add_row(foreign(segment_name(row)), f"{row['loans']:,}", *shown)
    console.print(table)
    for name, gain in found["gain"].items():
        best = found["single"][name]
        ahead = [
            f"{'too few' if gain[key] is None else f'{gain[key]:+.4f}'} on {what} "
            f"({foreign(best[lender] or 'no lender')})"
            for key, lender, what in (("all", "lender", "all"), ("thin", "thin_lender", "thin files"))
        ]
        console.print(f"over the best single lender {SCORES[name]}: {', '.join(ahead)}")


def runs_table(console: Console, runs: Sequence[Run]) -> None:
    """One line a run."""
    table = Table(title="runs")
    for name in ("run", "epsilon", "AUC", "KS", "ECE", "seconds", "started"):
        table.add_column(name, justify="left" if name in ("run", "started") else "right", overflow="fold")
    for run in runs:
        epsilon, exact = run.record["privacy"]["epsilon"], run.oracle.get("exact", {})
        figures = (f"{exact[metric]:.4f}" if metric in exact else "counts" for metric in ("auc", "ks", "ece"))
        shown = "none" if epsilon is None else f"{epsilon:.3f}"
        table.add_row(
            foreign(run.folder.name), shown, *figures, f"{run.record['seconds']:.1f}", foreign(run.record["started"])
        )
    console.print(table)


def comparison(console: Console, runs: Sequence[Run], settings: Sequence[tuple[str, Sequence[Any]]] = ()) -> None:
    """Runs side by side: `settings` in which they differ, by run, then figures; of two runs also the difference."""
    table, two = Table(title="comparison"), len(runs) == 2
    for name in ("", *(foreign(run.folder.name) for run in runs), *(["difference"] if two else [])):
        table.add_column(name, justify="left" if not name else "right", overflow="fold")
    for name, values in settings:
        table.add_row(foreign(name), *("" if value is None else foreign(value) for value in values))
    if settings:
        table.add_section()
    figures = [run_figures(run) for run in runs]
    for metric in dict.fromkeys(name for one in figures for name in one):
        values = [one.get(metric) for one in figures]
        shown = ["" if value is None else f"{value:.4f}" for value in values]
        table.add_row(foreign(metric), *shown, *([_difference(*values)] if two else []))
    released = [run.record["evaluation"]["all"] for run in runs]
    told = [recorded(one, "auc") for one in released]
    table.add_row("auc_dp", *told, *([_released_difference(*released)] if two else []))
    console.print(table)


def _difference(left: float | None, right: float | None) -> str:
    return "" if left is None or right is None else f"{right - left:+.4f}"


def _released_difference(left: dict[str, Any], right: dict[str, Any]) -> str:
    """How far a released AUC is from another, with its interval."""
    first, second = (Figure.of_record(figures, "auc") for figures in (left, right))
    if first is None or second is None:
        return ""
    found = second.less(first)
    return between(found.value, found.low, found.high, 4)


def run_figures(run: Run) -> dict[str, float | None]:
    """The figures by which runs are compared, those that have no noise in them."""
    return {
        **run.oracle["exact"],
        **{f"{FALLBACK} {name}": value for name, value in run.oracle.get(FALLBACK, {}).items()},
        "epsilon": run.record["privacy"]["epsilon"],
        "seconds": run.record["seconds"],
        "megabytes per party": None if (size := run.record["bytes_per_party"]) is None else size / 1e6,
        **run.oracle["baselines"],
    }
