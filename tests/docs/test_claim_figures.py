"""Figures that the pages of the claim and of the proofs state are those that the code gives."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from builders import small_federation, small_plan
from doubles import DirectExchange, nodes_of
from paths import ROOT

from sealscore.compliance.figures.explain import Chance
from sealscore.server.run.run import run_coordinator
from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.events import Event
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.dp.rounding import clip_error
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import Scenario, resolve

DOCS = ROOT / "docs"


def page(name: str) -> str:
    """A page with every run of white space as one space."""
    return " ".join((DOCS / name).read_text(encoding="utf-8").split())


def stated(name: str, words: str) -> list[float]:
    """The numbers that a page states in these words."""
    found = re.search(words, page(name))
    assert found, f"{name} has no words like {words!r}"
    return [float(number.replace(",", "")) for number in found.groups()]


def packaged(name: str) -> Plan:
    return Scenario.load(resolve(name)).plan


class Fewer:
    """An accountant for whom an honest party's own noise is all that is left of a sum."""

    name, version = "fewer", "0"

    def __init__(self, honest: int) -> None:
        self._share = 1 / math.sqrt(honest)

    def epsilon(self, events: Sequence[Event], delta: float) -> float:
        left = [
            event.model_copy(update={"noise_multiplier": event.noise_multiplier * self._share})  # type: ignore[union-attr]
            for event in events
        ]
        return PldAccountant().epsilon(left, delta)


@pytest.mark.parametrize("name", ["uci_horizontal_eps1", "uci_horizontal_eps2"])
def test_what_is_left_where_masks_are_broken(name: str):
    plan = packaged(name)
    honest = len(plan.members(plan.lenders)) - plan.groups[plan.lenders].max_colluding
    figure, promised = stated("compliance.md", rf"(?:for|,) `{name}` .{{0,60}}?([\d.]+) in place of (\d)")
    assert promised == plan.privacy.epsilon
    alone = Mechanisms(plan).claim(accountant=Fewer(honest))
    assert figure == math.ceil(100 * alone) / 100


def test_what_an_epsilon_means():
    words = r"At epsilon (\d) and delta 1e-5, .{0,30}? (\d+) % likely thinks it ([\d.]+) % likely at most"
    epsilon, rate, most = stated("compliance.md", words)
    assert most == round(100 * Chance.at(epsilon, 1e-5, rate / 100).most, 1)
    (right,) = stated("compliance.md", r"guessed by a coin is right ([\d.]+) % of the time at most")
    assert right == round(100 * Chance.at(epsilon, 1e-5, 0.5).right, 1)


def test_the_float_error_of_a_clipped_sum():
    words = r"For ([\d,]+) records of a sample, a linear tower of (\d+) weights and C = 1, . = (\d)·10⁻⁸"
    records, weights, error = stated("proofs/rounding.md", words)
    assert error == round(1e8 * clip_error(int(records), int(weights)))
    hidden, weights, error = stated(
        "proofs/rounding.md", r"With (\d+) hidden units and ([\d,]+) weights it is ([\d.]+)·10⁻⁴"
    )
    found = 1e4 * clip_error(int(records), int(weights), int(hidden))
    assert 0.9 * error < found <= error


@pytest.mark.parametrize(("deviation", "exponent", "digits"), [(3, 38, 1.2), (10, 428, 1.1), (1000, 4286314, 1.0)])
def test_the_sum_of_shares_is_as_near_as_the_table_says(deviation: int, exponent: int, digits: float):
    """Of the sum over k the first term is all but a part of 10^-25 and less."""
    first = math.log10(4.1) - 2 * math.pi**2 * deviation**2 / 2 / math.log(10)
    assert first < math.log10(digits) - exponent
    shown = str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    row = rf"\| {deviation:,}(?: \([^)]*\))? \| (?:{digits}·)?10⁻{shown} \|"
    assert re.search(row, page("proofs/shared-noise.md"))


def test_what_the_second_figure_is_short_of_a_bound():
    sigma, honest = stated("proofs/ledger.md", r". is (\d+) grid units at the least and h is (\d)")
    plan = packaged("synthetic_vertical_eps2")
    made = Mechanisms(plan)
    deviations = [
        made.mechanism(phase, made.longest(phase)).noise_std
        for phase in made.phases
        if phase.kind.value in ("calibrate", "evaluate")
    ]
    assert math.floor(min(deviations)) == sigma
    assert len(plan.members(plan.lenders)) - plan.groups[plan.lenders].max_colluding == honest
    assert 2 * (honest - 1) / sigma**2 == pytest.approx(8e-6, rel=0.05)


def test_every_field_of_a_runs_privacy_is_explained_and_no_other(tmp_path: Path):
    plan = small_plan()
    run_coordinator(plan.canonical(), DirectExchange(nodes_of(plan, small_federation())[0]), tmp_path, patience=0.0)
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    section = (DOCS / "compliance.md").read_text(encoding="utf-8").split("## The claim")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == set(record["privacy"])
