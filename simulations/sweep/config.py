"""A sweep's file: the scenario, the keys that change, and the seeds; checked as a whole before anything is run."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from sealscore.clients.data import DataError
from sealscore.clients.data.errors import Problem
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.schema import Strict
from sealscore.shared.plan.toml import load_as
from sealscore.simulations.data import scenario as scenarios
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.experiments.baselines import BASELINES, baselines_of
from sealscore.simulations.experiments.judges import TEST, Judge
from sealscore.simulations.sweep.keys import applied, effective
from sealscore.simulations.tracking.settings import flat

SweepEngine = Literal["fast", "in-process"]
FAST: SweepEngine = "fast"
SWEEPS = Path(__file__).parents[1] / "sweeps"
MOST_RUNS, MOST_SEEDS = 10_000, 1000
LABEL = "label"
# What a row holds; a change makes rows of before another sweep's.
_FORM = 1
# Settings that say how a data set is dealt out, and not which one it is.
_DEALT = {"partition", "alpha", "seed", "coverage", "consent", "rewrite_ids"}
_OWN = {"seed": "seeds are given once, as seeds = [1, 2, 3]", "name": "the plan's name stays the same in a sweep"}


class SweepFile(Strict):
    """The keys of a sweep's file.

    `plan` is the file of a scenario, seen from the sweep's folder, or the name of one that comes with Sealscore.
    `seeds` are seeds, or how many, counted up from the plan's own. `set` holds keys that all runs have, `grid` lists of
    values of which every combination is run, and `points` settings that are run one by one, each with every
    combination of the grid; a point may have a `label`. `baselines` are computed for every run: all, none, or some.
    `engine` is "fast", or "in-process" for the real path with seals and ledgers: the same figures, and what was sent.
    `judge` is "validation", or "test" where the figures choose nothing: what was chosen on test persons is not judged
    by them any more.
    """

    plan: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")] | None = None
    title: str | None = None
    seeds: int | tuple[int, ...] = 1
    baselines: bool | tuple[str, ...] = False
    judge: Judge = "validation"
    engine: SweepEngine = FAST
    set: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, Any] = Field(default_factory=dict)
    points: tuple[dict[str, Any], ...] = ()

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, seeds: Any) -> Any:
        if isinstance(seeds, list) and seeds and all(_whole(seed) and 0 <= seed < 2**63 for seed in seeds):
            if len(set(seeds)) < len(seeds):
                raise ValueError("a seed stands twice")
        elif not (_whole(seeds) and 1 <= seeds <= MOST_SEEDS):
            raise ValueError(f"must be a list of seeds from 0 up, or how many: 1 to {MOST_SEEDS}")
        return seeds

    @field_validator("baselines", mode="before")
    @classmethod
    def _baselines(cls, baselines: Any) -> Any:
        if isinstance(baselines, bool) or (
            isinstance(baselines, list) and all(name in BASELINES for name in baselines)
        ):
            return baselines
        raise ValueError(f"allowed: true, false, or a list of some of {', '.join(BASELINES)}")


@dataclass(frozen=True)
class Task:
    """One run: a scenario with its seed, what it is called in the sweep, and the values of the sweep's keys there.

    `id` follows from all that decides what the row will hold.
    """

    scenario: Scenario
    label: str | None
    keys: dict[str, Any]
    baselines: bool | tuple[str, ...]
    judge: Judge
    engine: SweepEngine = FAST

    @property
    def id(self) -> str:
        """16 hexadecimal digits."""
        # Without what is not set: a key that is new in the settings makes no other run of the old ones.
        settings = self.scenario.settings.model_dump(mode="json", exclude_defaults=True)
        parts = [_FORM, self.scenario.plan.hash, settings, self.label, sorted(self.keys), self.baselines]
        # Rows of before there was a choice were judged on test.
        parts += [self.judge] if self.judge != TEST else []
        # Figures are the same on every engine, so a row that is there already serves the default.
        parts += [self.engine] if self.engine != FAST else []
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Sweep:
    """A sweep that was found to be right: all its runs, in the order of its file, the seeds of a setting together."""

    name: str
    title: str
    keys: tuple[str, ...]
    tasks: tuple[Task, ...]
    text: str
    judge: Judge

    @property
    def declaration(self) -> str | None:
        """What must be said to everybody who reads figures of invented data."""
        said = {task.scenario.declaration for task in self.tasks} - {None}
        return said.pop() if said else None

    @classmethod
    def load(cls, path: Path) -> Sweep:
        """Read a sweep's file and check every run of it, down to whether its data are there.

        Raises:
            PlanError: the file, a key or a value is wrong; one line for each problem.
            DataError: the data set is not there, cannot be read, or disagrees with the plan.
        """
        found = load_as(SweepFile, path)
        return cls.of(found, Scenario.load(_plan(found.plan, path)), path, path.read_text(encoding="utf-8"))

    @classmethod
    def of(cls, found: SweepFile, scenario: Scenario, path: Path, text: str) -> Sweep:
        """The sweep of a scenario by the keys of a file; `path` is what messages call it, `text` what it says.

        Raises:
            PlanError, DataError: as `load`.
        """
        if scenario.plan.monitoring is not None:
            what = "a plan of counts has no score to compare; sealscore-sim run shows its figures"
            raise PlanError(str(path), [what])
        problems: list[str] = []
        fixed = dict(flat(found.set))
        grid = _grid(dict(flat(found.grid)), problems)
        points = [dict(flat(point)) for point in found.points]
        _check_keys(fixed, grid, points, problems)
        _check_baselines(found.baselines, scenario, problems)
        if problems:
            raise PlanError(str(path), problems)
        settings = _settings(path, fixed, grid, points)
        keys = tuple(dict.fromkeys([*fixed, *grid, *(key for point in points for key in point if key != LABEL)]))
        changed = _changed(path, scenario, settings)
        _check_data(changed)
        tasks = [
            Task(
                one.with_seed(seed),
                setting.get(LABEL),
                {key: effective(one, key) for key in keys},
                found.baselines,
                found.judge,
                found.engine,
            )
            for setting, one in zip(settings, changed, strict=True)
            for seed in _seeds(found.seeds, scenario)
        ]
        _check_distinct(path, tasks)
        name = found.name or path.stem
        return cls(name, found.title or name, keys, tuple(tasks), text, found.judge)


def packaged() -> dict[str, Path]:
    """The sweeps that come with Sealscore, name to file, sorted by name."""
    return {path.stem: path for path in sorted(SWEEPS.glob("*.toml"))}


def resolve(name_or_path: str) -> Path:
    """The file of a sweep: a path, or the name of one that comes with Sealscore.

    Raises:
        PlanError: there is none.
    """
    names = packaged()
    path = names.get(name_or_path, Path(name_or_path))
    if not path.is_file():
        raise PlanError(name_or_path, [f"there is no such sweep; give a TOML file or one of {', '.join(names)}"])
    return path


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _plan(name: str, sweep: Path) -> Path:
    beside = sweep.parent / name
    return beside if beside.is_file() else scenarios.resolve(name)


def _grid(grid: dict[str, Any], problems: list[str]) -> dict[str, list[Any]]:
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            problems.append(f"grid.{key} = {values!r}: must be a list of at least one value")
        elif any(values.index(value) < place for place, value in enumerate(values)):
            problems.append(f"grid.{key} = {values!r}: a value stands twice")
    return grid


def _check_keys(fixed: dict[str, Any], grid: dict[str, Any], points: list[dict[str, Any]], problems: list[str]) -> None:
    places = [("set", fixed), ("grid", grid), *((f"points.{at}", point) for at, point in enumerate(points))]
    for where, keys in places:
        problems += [f"{where}.{key}: {_OWN[key]}" for key in keys if key in _OWN]
    for where, point in places[2:]:
        problems += [f"{where}.{key}: also in grid; a key may be in one of them" for key in point if key in grid]
        if not isinstance(point.get(LABEL, ""), str):
            problems.append(f"{where}.{LABEL} = {point[LABEL]!r}: must be text")
    if points and len({LABEL in point for point in points}) > 1:
        problems.append("points: either all have a label, or none")


def _check_baselines(baselines: bool | tuple[str, ...], scenario: Scenario, problems: list[str]) -> None:
    known = baselines_of(scenario.plan)
    for name in () if isinstance(baselines, bool) else baselines:
        if name not in known:
            problems.append(f"baselines: {name!r} needs platforms, and the plan has none; allowed: {', '.join(known)}")


def _settings(
    path: Path, fixed: dict[str, Any], grid: dict[str, list[Any]], points: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The keys of every setting: the points by turns, within each of them the grid with its last key fastest."""
    count = max(1, len(points))
    for values in grid.values():
        count *= len(values)
    if count > MOST_RUNS:
        raise PlanError(str(path), [f"{count:,} settings; at most {MOST_RUNS:,} are allowed"])
    return [
        fixed | point | dict(zip(grid, values, strict=True))
        for point in points or [{}]
        for values in itertools.product(*grid.values())
    ]


def _changed(path: Path, scenario: Scenario, settings: list[dict[str, Any]]) -> list[Scenario]:
    """The scenario of every setting; PlanError with each problem once and the first setting that has it."""
    problems: dict[str, list[int]] = {}
    changed = []
    for place, setting in enumerate(settings):
        try:
            changed.append(applied(scenario, {key: value for key, value in setting.items() if key != LABEL}))
        except PlanError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(place)
    if problems:
        raise PlanError(str(path), [_told(problem, places, settings) for problem, places in problems.items()])
    return changed


def _told(problem: str, places: list[int], settings: list[dict[str, Any]]) -> str:
    if len(settings) == 1:
        return problem
    first = ", ".join(f"{key} = {value!r}" for key, value in settings[places[0]].items())
    return f"{problem} ({len(places)} of {len(settings)} settings, the first: {first})"


def _check_data(changed: list[Scenario]) -> None:
    """Load every data set once for each form in which plans want it."""
    seen: set[tuple[str, str]] = set()
    problems: dict[str, Problem] = {}
    for one in changed:
        settings, plan = one.settings, one.plan
        tables = json.dumps({name: group.table.model_dump(mode="json") for name, group in plan.groups.items()})
        key = (settings.model_dump_json(exclude=_DEALT), tables)
        if key in seen:
            continue
        seen.add(key)
        try:
            one.dataset()
        except DataError as error:
            problems |= {str(problem): problem for problem in error.problems}
    if problems:
        raise DataError(list(problems.values()))


def _seeds(seeds: int | tuple[int, ...], scenario: Scenario) -> list[int]:
    first = scenario.plan.seed
    return list(range(first, first + seeds)) if isinstance(seeds, int) else list(seeds)


def _check_distinct(path: Path, tasks: list[Task]) -> None:
    seen: dict[str, Task] = {}
    for task in tasks:
        if task.id in seen:
            raise PlanError(str(path), [f"two settings give the same runs: {task.keys}; change or remove one"])
        seen[task.id] = task
