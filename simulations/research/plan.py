"""A plan as a researcher holds it: what parties would approve, and with it the data that a simulation deals out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan, as_authored
from sealscore.simulations.data.scenario import Scenario, SimulationSettings, read_tables, resolve
from sealscore.simulations.sweep.keys import applied, counted_group
from sealscore.simulations.tracking.settings import flat

SHORT = {
    "epsilon": "privacy.epsilon",
    "delta": "privacy.delta",
    "label_epsilon": "privacy.label_epsilon",
    "rounds": "training.rounds",
}
"""Keys that are asked for so often that they need not be written out."""
_NO_DATA = (
    "the plan says nothing of data, so it cannot be simulated; add a table [simulation] to its file, or draft one with "
    "`sealscore.draft`"
)


class ResearchPlan(Plan):
    """A plan of any party, as `sealscore.Plan`.

    It has all that a plan has (`privacy.epsilon`, `hash`, `canonical()`) and remembers the table `[simulation]` of
    its file, which is no part of the contract and not under its hash.
    """

    _settings: SimulationSettings | None = PrivateAttr(default=None)
    _path: Path = PrivateAttr(default=Path())
    # What holds the files that the settings name, as long as this plan is held; nothing reads it.
    _kept: Any = PrivateAttr(default=None)

    @classmethod
    def of(cls, scenario: Scenario, kept: Any = None) -> ResearchPlan:
        """The plan of a scenario, with its settings. `kept` is held as long as the plan and what follows from it."""
        plan = cls.parse(scenario.plan.model_dump(mode="json"))
        plan._settings, plan._path, plan._kept = scenario.settings, scenario.path, kept
        return plan

    @classmethod
    def named(cls, source: str | Path | Mapping[str, Any]) -> ResearchPlan:
        """A plan by the name of one that comes with Sealscore, its file (TOML, or canonical JSON), or its keys.

        Raises:
            PlanError: there is no such plan, or it is wrong; a line for each problem.
        """
        if isinstance(source, Mapping):
            return cls._of_tables(source, Path())
        name = _named(source)
        if Path(name).suffix == ".json":
            return cls._of_json(Path(name))
        return cls.load(resolve(str(name)))

    @classmethod
    def load(cls, path: str | Path) -> ResearchPlan:
        """Read a plan's TOML file, with the table `[simulation]` where it has one.

        Raises:
            PlanError: the file is missing, not TOML, of a newer version, or wrong; a line for each problem.
        """
        return cls._of_tables(read_tables(Path(path)), Path(path))

    @classmethod
    def _of_tables(cls, tables: Mapping[str, Any], path: Path) -> ResearchPlan:
        if "simulation" in tables:
            return cls.of(Scenario.parse(tables, path))
        return cls.parse(as_authored(tables), str(path) if path.name else "plan")

    @classmethod
    def _of_json(cls, path: Path) -> ResearchPlan:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise PlanError(str(path), [f"cannot be read: {error}; name a file that can be read"]) from None
        return cls.parse(Plan.from_canonical(data).model_dump(mode="json"), str(path))

    @classmethod
    def parse(cls, data: dict[str, Any], source: str = "plan") -> ResearchPlan:
        """As `Plan.parse`."""
        # The validation gives an object of the class that it is called on.
        found = super().parse(data, source)
        assert isinstance(found, cls)
        return found

    @property
    def scenario(self) -> Scenario:
        """The plan with its data, as the command line's `run` takes it.

        Raises:
            PlanError: nothing is known of data.
        """
        if self._settings is None:
            raise PlanError(self.name, [_NO_DATA])
        return Scenario(Plan.parse(self.model_dump(mode="json")), self._settings, self._path)

    def with_(self, **changes: Any) -> ResearchPlan:
        """The plan with keys replaced: another plan, with another hash.

        Args:
            changes: `epsilon`, `delta`, `label_epsilon` and `rounds` by these names; any other key of the plan, or
                after `simulation__` of its data, with `__` for the dot (`training__sample_rate=0.1`,
                `simulation__partition="label-skew"`). `parties__GROUP=5` shares a group's records out anew.

        Raises:
            PlanError: there is no such key (the message says which may be meant), or the value is not allowed.
        """
        keys = dotted(changes, self)
        if self._settings is None and not any(key.startswith("simulation.") or counted_group(key) for key in keys):
            return self.replace(**{key.replace(".", "__"): value for key, value in keys.items()})
        return ResearchPlan.of(applied(self.scenario, keys), self._kept)

    def replace(self, **changes: Any) -> ResearchPlan:
        """The plan with dotted keys replaced, written with `__` for the dot; its data stay the same."""
        plan = ResearchPlan.parse(super().replace(**changes).model_dump(mode="json"))
        plan._settings, plan._path, plan._kept = self._settings, self._path, self._kept
        return plan

    def __repr__(self) -> str:
        privacy = self.privacy
        cost = "no noise" if privacy.noise == "none" else f"epsilon {privacy.epsilon:g}, delta {privacy.delta:g}"
        data = "no data" if self._settings is None else f"data {self._settings.dataset}"
        return f"<plan {self.name}: {len(self.parties)} parties, {cost}, {data}, hash {self.hash[:8]}>"

    __str__ = __repr__


def dotted(changes: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Keys as Python writes them, by the names that a plan's file has.

    Raises:
        PlanError: a name without `__` is none of the plan's; the message names the key that may be meant.
    """
    first = {*SHORT, *type(plan).model_fields}
    lines = []
    for name in changes:
        if "__" in name or "." in name or name in first:
            continue
        inner = {key.rpartition(".")[2]: key.replace(".", "__") for key, _ in flat(plan.model_dump(mode="json"))}
        known = {**inner, **{one: one for one in first}}
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {known[close[0]]!r}? " if close else ""
        lines.append(f"{name}: unknown key; {hint}by themselves stand {', '.join(SHORT)}, all others as TABLE__KEY")
    if lines:
        raise PlanError(plan.name, lines)
    return {SHORT.get(name, name.replace("__", ".")): value for name, value in changes.items()}


def scenario_of(source: str | Path | Plan | Scenario) -> Scenario:
    """What can be simulated: a plan with its data, a scenario, a plan's file, or the name of a packaged one.

    Raises:
        PlanError: there is no such plan, it is wrong, or it says nothing of data.
    """
    if isinstance(source, Scenario):
        return source
    if isinstance(source, ResearchPlan):
        return source.scenario
    if isinstance(source, Plan):
        raise PlanError(source.name, [_NO_DATA])
    return Scenario.load(resolve(str(_named(source))))


def _named(source: Any) -> str | Path:
    """A plan's name or file. What is neither may be records, and is not shown."""
    if not isinstance(source, str | Path):
        raise PlanError("source", [f"a {type(source).__name__} is no plan; sealscore.draft makes one for a table"])
    if Path(source).suffix.lower() in (".csv", ".parquet"):
        raise PlanError("source", [f"{Path(source).name} is a table and no plan; sealscore.draft makes one for it"])
    return source
