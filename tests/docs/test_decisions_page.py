"""docs/decisions.md has every key of a policy and every command; docs/errors.md has every code, and no other."""

from __future__ import annotations

import re
from typing import Any, get_args

import typer
from paths import ROOT
from policies import PAGE, page_policy
from pydantic import BaseModel

from sealscore.clients.cli import app
from sealscore.clients.decision.policy.faults import faults
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.serve.faults import _DECISIONS, _TITLES
from sealscore.shared.text.terminal import grouped

TEXT = PAGE.read_text(encoding="utf-8")
CODE = re.compile(r'(?:DecisionError|ApplicationError)\(\s*"([a-z-]+)"')


def keys(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    """The keys of a model and of all that are in it."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(name)
        for inner in models(field.annotation):
            if inner not in seen:
                seen.add(inner)
                found |= keys(inner, seen)
    return found


def models(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in models(part)}


def test_every_key_of_a_policy_is_on_the_page():
    known = keys(DecisionPolicy, set())
    assert {"propensity", "neutral", "debt_service"} <= known
    assert {key for key in known if not re.search(rf"\b{key}\b", TEXT)} == set()


def test_the_policy_of_the_page_is_the_one_of_its_walk():
    policy = page_policy()
    assert faults(policy) == []
    assert grouped(policy.hash) in TEXT
    assert f'"hash": "{policy.hash}"' in TEXT


def test_every_command_of_a_decision_is_on_the_page():
    group: Any = typer.main.get_command(app)
    for name in ("policy", "review", "loan"):
        for inner in group.commands[name].commands:
            assert re.search(rf"(sealscore-node |`){name} {inner}\b", TEXT), (name, inner)
    for name in ("decide", "notice", "dispute", "replay"):
        assert f"sealscore-node {name}" in TEXT


def test_every_code_of_a_decision_is_explained_and_no_other():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "clients" / "decision").rglob("*.py")]
    codes = {code for source in sources for code in CODE.findall(source)}
    assert len(codes) > 15
    section = (ROOT / "docs" / "errors.md").read_text("utf-8").split("\n## Decisions")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == codes
    # Each of them has a problem document, but for those of tables that no request brings.
    assert codes - {*_DECISIONS, *_TITLES} == {"as-of", "columns"}
