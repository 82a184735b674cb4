"""What a config accepts, and what it says when it does not."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from cases import check_each
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.world import config
from sealscore.simulations.world.config import Latents, WorldConfig, load_config

WORLD = Path(config.__file__).parent
MOVERS = {"quality", "stability", "leverage", "honesty", "size", "service", "state", "q"}


def models(model: type[BaseModel]) -> list[type[BaseModel]]:
    nested = [type(field.default) for field in model.model_fields.values() if isinstance(field.default, BaseModel)]
    return [model, *(inner for part in nested for inner in models(part))]


@pytest.mark.parametrize("model", [*models(WorldConfig), config.LenderConfig], ids=lambda model: model.__name__)
def test_every_knob_says_what_it_is(model: type[BaseModel]):
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_presets_differ_in_size_alone():
    default, small = load_config("default"), load_config("small")
    assert default == WorldConfig()
    assert small.model_copy(update={"creators": default.creators}) == default
    assert small.creators == 4000


def test_a_file_names_what_differs_and_options_come_first(tmp_path: Path):
    path = tmp_path / "w.toml"
    path.write_text("creators = 500\nseed = 3\n[economy]\nshock_month = 12\n")
    found = load_config(str(path), creators=None, seed=9)
    assert (found.creators, found.seed, found.economy.shock_month) == (500, 9, 12)
    assert found.economy.shock_size == WorldConfig().economy.shock_size


def number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant) and isinstance(inner.value, int | float)


def moved(node: ast.AST) -> set[str]:
    """The latents and states in an expression, but for those in calls: a level may stand before exp(knob * quality)."""
    if isinstance(node, ast.Call):
        return set()
    own = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return MOVERS & {own} | {name for part in ast.iter_child_nodes(node) for name in moved(part)}


def has_no_effect_of_a_latent_as_a_number(path: Path) -> None:
    products = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.BinOp)]
    for node in (product for product in products if isinstance(product.op, ast.Mult)):
        for factor, other in ((node.left, node.right), (node.right, node.left)):
            assert not (number(factor) and moved(other)), f"{path.name}:{node.lineno} {ast.unparse(node)}"


def test_no_effect_of_a_latent_is_a_number_in_the_code():
    check_each(has_no_effect_of_a_latent_as_a_number, [(path,) for path in sorted(WORLD.glob("*.py"))])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("creatrs = 500", "creatrs: unknown key; did you mean 'creators'?"),
        ("creators = 5", "creators = 5: input should be greater than or equal to 100"),
        ("[economy]\nshock_month = 99", "economy.shock_month must be below 43"),
        ("[calendar]\nstart = 2022-01-15", "start must be the first of a month, as 2022-01-01"),
        ("[calendar]\nkeep_before_months = 12", "keep_before_months must not exceed history_months"),
        ("[latents]\nchannel_bureau = 0.9", "no four latents can have these correlations together"),
        ("[latents]\nservice_quality = 0.9\nservice_honesty = 0.9", "must be below 1"),
        ("[platforms]\nvideo_1 = 0\nvideo_2 = 0\nwallet = 0", "must be above 0"),
        ('[[lending.lenders]]\nname = "wallet"', "lenders need names of their own, and not those of platforms: wallet"),
        ('[[lending.lenders]]\nname = "A b"', "lending.lenders.0.name = 'A b'"),
        ("creators = ", "not valid TOML"),
    ],
)
def test_errors_name_the_key_and_the_fix(tmp_path: Path, text: str, said: str):
    path = tmp_path / "w.toml"
    path.write_text(text)
    with pytest.raises(PlanError) as raised:
        load_config(str(path))
    assert str(path) in str(raised.value)
    assert said in str(raised.value)


def test_an_absent_file_is_told_with_the_presets():
    with pytest.raises(PlanError, match="no such file; give a TOML file or one of default, small"):
        load_config("nowhere.toml")


@given(
    st.floats(-0.99, 0.99),
    st.floats(-0.99, 0.99),
    st.floats(-0.99, 0.99),
)
def test_accepted_correlations_are_a_correlation_matrix(first: float, second: float, cross: float):
    try:
        found = Latents(quality_stability=first, leverage_honesty=second, channel_bureau=cross)
    except ValidationError:
        return
    assert np.linalg.eigvalsh(found.matrix())[0] > 0
    np.linalg.cholesky(found.matrix())
