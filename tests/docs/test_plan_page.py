"""docs/plan.md is in step with the models that read a plan."""

from __future__ import annotations

import re
import runpy

import pytest
from paths import ROOT
from pydantic import BaseModel

from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import DerivedFeature, NumericFeature
from sealscore.shared.plan.settings import Privacy
from sealscore.simulations.data.scenario import SimulationSettings

DOCS = ROOT / "docs"
PAGE = (DOCS / "plan.md").read_text(encoding="utf-8")
generator = runpy.run_path(str(DOCS / "plan_page.py"))


def models_of(model: type[BaseModel]) -> set[str]:
    return {model.__name__, *model.model_json_schema().get("$defs", {})}


def test_the_page_is_what_the_generator_writes():
    assert generator["refresh"](PAGE) == PAGE, "run: python docs/plan_page.py"


def test_every_model_of_a_plan_has_its_table_on_the_page():
    wanted = models_of(Plan) | models_of(SimulationSettings)
    assert {model.__name__ for model in generator["MODELS"]} == wanted
    assert sorted(re.findall(r"<!-- keys of (\w+) -->", PAGE)) == sorted(wanted)


@pytest.mark.parametrize("model", generator["MEANINGS"], ids=lambda model: model.__name__)
def test_every_key_has_a_meaning(model: type[BaseModel]):
    keys = set(model.model_fields) - (set(NumericFeature.model_fields) if model is DerivedFeature else set())
    assert set(generator["MEANINGS"][model]) == keys
    assert all(generator["MEANINGS"][model].values())


def test_a_changed_model_changes_the_page():
    assert "| `epsilon` | number, at least 1e-09, at most 50 | required |" in generator["table"](Privacy)
    spoilt = PAGE.replace("at most 50", "at most 60")
    assert spoilt != PAGE
    assert generator["refresh"](spoilt) == PAGE


def test_the_small_plan_on_the_page_is_a_plan():
    text, *_ = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert Plan.loads(text).name == "first-loans"
