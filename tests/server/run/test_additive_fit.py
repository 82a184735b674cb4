"""The recipe's sums over a federation: what is published when, and what a smaller cohort's sum stands for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from additive_builders import binned, design
from builders import auto_plan, mechanisms, phase_of

from sealscore.server.run.additive_fit import FederatedSums
from sealscore.server.transport.journal import Sum
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.model.recipe.facts import Facts
from sealscore.shared.phases.order import Phase

PLAN = auto_plan()
LENDERS = ("lender-1", "lender-2", "lender-3")


class Asked:
    """Answers with ones from a cohort, and keeps what was published and asked."""

    def __init__(self, cohort: tuple[str, ...]) -> None:
        self.cohort = cohort
        self.published: list[tuple[str, str]] = []
        self.parts: list[dict[str, str]] = []
        self.figures: dict[str, float] = {}

    def publish(self, phase: Phase, name: str, body: bytes) -> dict[str, str]:
        self.published.append((phase.name, name))
        return {name: f"{name} {len(self.published)}"}

    def summed(
        self,
        phase: Phase,
        round: int,
        mechanism: Mechanism,
        parameters: np.ndarray,
        parts: dict[str, str],
        **figures: Callable[[Sum], float],
    ) -> Sum | None:
        self.parts.append(parts)
        found = Sum(np.ones(mechanism.length), self.cohort, 1, {}, 0.0)
        self.figures = {name: figure(found) for name, figure in figures.items()}
        return found


def sums(asked: Asked, counted: tuple[str, ...] = LENDERS) -> FederatedSums:
    facts = Facts.of(900.0, 200.0, 3, 1.0)
    return FederatedSums(asked, mechanisms(PLAN), "lender", facts, {"bins": "bins 0"}, counted)


@pytest.mark.parametrize(("cohort", "scale"), [(LENDERS, 1.0), (LENDERS[:2], 1.5)])
def test_a_smaller_cohort_stands_for_all_that_were_counted(cohort, scale):
    codes = design(binned(np.random.default_rng(0), 3)).codes
    asked = Asked(cohort)
    released = sums(asked).first(1, codes, np.zeros(codes.length))
    assert released is not None
    assert released.values == pytest.approx(np.full(codes.length, scale))
    noise = mechanisms(PLAN).mechanism(phase_of(PLAN, "fit_features:lender"), codes.length).total_std(len(cohort))
    assert released.noise == pytest.approx(scale * noise)
    assert asked.figures["gradient_norm"] == pytest.approx(scale * np.sqrt(codes.length) / 900)
    # Where the histogram was of the same two, nothing is scaled.
    again = sums(Asked(cohort), counted=cohort).first(1, codes, np.zeros(codes.length))
    assert again is not None
    assert again.values == pytest.approx(np.ones(codes.length))


def test_codes_are_published_once_and_named_in_every_round():
    parts = binned(np.random.default_rng(0), 3)
    first, pairs, last = (
        design(parts, pairs=share, mains=mains).codes for share, mains in ((None, True), (0.1, False), (0.1, True))
    )
    asked = Asked(LENDERS)
    made = sums(asked)
    for round in (1, 2, 3):
        made.first(round, first, np.zeros(first.length))
    made.pairs(first, np.zeros(first.length), pairs)
    for round in (1, 2):
        made.second(round, last, np.zeros(last.length))
    assert asked.published == [
        ("fit_features:lender", "codes"),
        ("sum_pairs:lender", "pairs"),
        ("fit_tables:lender", "codes"),
    ]
    named = [{name: key for name, key in found.items() if name != "bins"} for found in asked.parts]
    assert named == [
        *[{"codes": "codes 1"}] * 3,
        {"codes": "codes 1", "pairs": "pairs 2"},
        *[{"codes": "codes 3"}] * 2,
    ]
    assert made.parts == {"bins": "bins 0", "codes": "codes 3"}
