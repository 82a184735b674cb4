"""Write the reference of `import sealscore` into docs/python.md, from the docstrings: python docs/python_page.py"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sealscore
from sealscore.simulations.research.audits import AuditedSeeds, PlanCost
from sealscore.simulations.research.drafts import DraftedPlan
from sealscore.simulations.research.model import ResearchModel
from sealscore.simulations.research.plots import RunPlots
from sealscore.simulations.research.results import Metric, SimulatedRuns
from sealscore.simulations.research.sweeps import SweepRuns

PAGE = Path(__file__).parent / "python.md"
BEGIN, END = "<!-- reference -->\n", "<!-- end -->\n"
CLASSES = (sealscore.Plan, DraftedPlan, SimulatedRuns, Metric, RunPlots, ResearchModel, SweepRuns, PlanCost)


def reference() -> str:
    """All public functions and classes with their docstrings, as Markdown."""
    parts = ["### Functions\n"]
    functions = [name for name in sealscore.__all__ if inspect.isfunction(getattr(sealscore, name))]
    parts += [_entry(f"sealscore.{name}", getattr(sealscore, name)) for name in functions]
    for kind in (*CLASSES, AuditedSeeds, sealscore.FederatedScore):
        shown = "Plan" if kind is sealscore.Plan else kind.__name__
        parts.append(f"### {shown}\n\n{_text(kind)}\n")
        parts += [_entry(name, member) for name, member in _members(kind)]
    parts.append("### Errors\n\nAll that the functions raise of their own, as `sealscore.NAME`.\n")
    kinds = [kind for name in sealscore.__all__ if _is_error(kind := getattr(sealscore, name))]
    parts += [
        f"- `{kind.__name__}` ({kind.__bases__[0].__name__}): {(inspect.getdoc(kind) or '').splitlines()[0]}"
        for kind in kinds
    ]
    return "\n".join(parts) + "\n"


def _is_error(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class itself has, in the order of its file."""
    for name, member in vars(kind).items():
        if not name.startswith("_") and (
            inspect.isfunction(member) or isinstance(member, classmethod | property) or hasattr(member, "attrname")
        ):
            yield name, member


def _entry(name: str, member: Any) -> str:
    function = getattr(member, "__func__", member)
    call = ""
    if inspect.isfunction(function):
        names = [one for one in inspect.signature(function).parameters.values() if one.name not in ("self", "cls")]
        call = f"({', '.join(_argument(one) for one in names)})"
    return f"**`{name}{call}`**\n\n{_text(member)}\n"


def _argument(one: inspect.Parameter) -> str:
    star = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}.get(one.kind, "")
    default = one.default
    told = "..." if callable(default) else repr(default)
    return f"{star}{one.name}" + ("" if default is inspect.Parameter.empty else f"={told}")


def _text(member: Any) -> str:
    """A docstring; its sections of arguments and errors as lists."""
    lines = []
    for line in (inspect.getdoc(member) or "").splitlines():
        if re.fullmatch(r"(Args|Returns|Raises):", line):
            lines += [f"*{line[:-1]}*", ""]
        elif found := re.match(r"    (\w[\w, ]*): (.*)", line):
            lines.append(f"- `{found[1]}`: {found[2]}")
        else:
            lines.append(line.strip() if line.startswith("        ") else line.removeprefix("    "))
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the reference of today in its place."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}{reference()}{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
