"""What a party computes for the additive recipe, against dense codes, and what it refuses before it reads a record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from additive_builders import dense_codes
from builders import auto_plan, mechanisms, no_weights, phase_of, small_records
from doubles import Talk

from sealscore.shared.dp.rounding import CLIP_SLACK
from sealscore.shared.messages.codec import digest
from sealscore.shared.messages.messages import SumAnswer
from sealscore.shared.model.additive.codes import CODE_LIMIT, Codes, Pair, narrow
from sealscore.shared.model.additive.curve import CURVE_LENGTH, SUMS, PdCurve, residual_sums
from sealscore.shared.model.recipe.design import PairPrior, designed
from sealscore.shared.model.recipe.kernels import basis
from sealscore.shared.model.score_table import score_table
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.plan.plan import Plan

# Its budget is large enough for all of the releases of the recipe; and one without noise.
PLAN = auto_plan()
BARE = PLAN.replace(privacy__noise="none")
FIRST, PAIRS, SECOND, RESIDUALS, EVALUATE, RATE = (
    f"{name}:lender"
    for name in ("fit_features", "sum_pairs", "fit_tables", "sum_residuals", "evaluate", "count_outcomes")
)
CURVE = PdCurve(-4.0, (0.3, 0.2, 0.1, 0.0, -0.1, 0.2, 0.1, 0.4))


class AdditiveTalk:
    """A server of the recipe that talks to one node."""

    def __init__(self, plan: Plan = BARE) -> None:
        self.plan, self.records = plan, small_records(300, seed=3)
        self.talk = Talk(plan, records=self.records)
        bases = [basis(part, 0.3) for part in self.talk.binning.features]
        self.codes = designed(bases, 0.2, 0.3).codes
        self.both = designed(bases, 0.2, 0.3, PairPrior(0.1)).codes
        self.pairs = designed(bases, 0.2, 0.3, PairPrior(0.1), mains=False).codes
        self.talk.publish()
        for codes in (self.codes, self.both):
            self.talk.publish(codes.to_bytes(), "codes")
        self.talk.publish(self.pairs.to_bytes(), "pairs")

    def parts(self, codes: Codes | None = None, pairs: Codes | None = None) -> dict[str, str]:
        found = {"bins": digest(self.talk.bins), "codes": digest((codes or self.codes).to_bytes())}
        return found | ({"pairs": digest(pairs.to_bytes())} if pairs else {})

    def vector(self, phase: str, length: int, **request: Any) -> np.ndarray:
        reply = self.talk.ask(phase, **request)
        assert isinstance(reply, SumAnswer), reply
        mechanism = mechanisms(self.plan).mechanism(phase_of(self.plan, phase), length)
        return mechanism.shape.centre(mechanism.shape.unpack(reply.contribution)) * mechanism.grid

    def part(self, test: bool) -> tuple[np.ndarray, np.ndarray]:
        """Bins [features, n] and labels of the training or test records."""
        rows = self.records.take(self.records.test == test)
        assert rows.label is not None
        return narrow(self.talk.binning.quantize(rows.columns), self.talk.binning.sizes), rows.label.astype(float)


def weights(codes: Codes, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.4, codes.length)


def clipped(codes: Codes, bins: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    vectors = (1 / (1 + np.exp(-logits)) - labels)[:, None] * dense_codes(codes, bins)
    return (vectors * np.minimum(1, 1 / (np.linalg.norm(vectors, axis=1) + CLIP_SLACK))[:, None]).sum(axis=0)


def test_the_plan_of_these_tests_has_every_release():
    assert [phase.name for phase in mechanisms(PLAN).phases] == [
        RATE,
        "bin:lender",
        FIRST,
        PAIRS,
        SECOND,
        RESIDUALS,
        EVALUATE,
    ]


def test_outcomes_are_counted():
    talk = AdditiveTalk()
    _, labels = talk.part(False)
    found = talk.vector(RATE, 2, parameters=no_weights(), parts={})
    assert found.tolist() == [(labels == 0).sum(), (labels == 1).sum()]


@pytest.mark.parametrize("phase", [FIRST, SECOND])
def test_units_are_summed_over_all_training_records(phase):
    talk = AdditiveTalk()
    codes = talk.codes if phase == FIRST else talk.both
    bins, labels = talk.part(False)
    sent = weights(codes)
    found = talk.vector(phase, codes.length, parameters=sent, parts=talk.parts(codes))
    expected = clipped(codes, bins, labels, codes.tables(sent).sums(bins))
    grid = mechanisms(BARE).mechanism(phase_of(BARE, phase), codes.length).grid
    assert np.abs(found - expected).max() <= grid / 2 + 1e-9


def test_pairs_are_summed_at_the_score_of_the_features():
    talk = AdditiveTalk()
    bins, labels = talk.part(False)
    sent = weights(talk.codes)
    found = talk.vector(PAIRS, talk.pairs.length, parameters=sent, parts=talk.parts(pairs=talk.pairs))
    expected = clipped(talk.pairs, bins, labels, talk.codes.tables(sent).sums(bins))
    assert found == pytest.approx(expected, abs=0.01)
    assert found[0] == 0


def test_residuals_are_summed_and_tables_filled_at_the_curve():
    talk = AdditiveTalk()
    sent = weights(talk.both)
    numbers = np.concatenate([sent, CURVE.vector()])
    request = {"parameters": numbers, "parts": talk.parts(talk.both)}
    bins, labels = talk.part(False)
    found = talk.vector(RESIDUALS, SUMS, **request)
    assert found == pytest.approx(residual_sums(CURVE, talk.both.tables(sent).sums(bins), labels), abs=0.01)
    bins, labels = talk.part(True)
    table = talk.vector(EVALUATE, mechanisms(BARE).longest(phase_of(BARE, EVALUATE)), **request)
    cells = BARE.evaluation.cells
    expected = score_table(CURVE.logits(talk.both.tables(sent).sums(bins)), labels, cells)
    assert table[: 2 * cells].tolist() == expected.tolist()


def test_other_codes_change_neither_noise_nor_charge():
    """A server that gives two nodes different shares, and so different codes, gets the same noise of both."""
    charged = []
    for scale in (1.0, 0.5):
        talk = AdditiveTalk(PLAN)
        halved = tuple(np.rint(main * scale * 4096) / 4096 for main in talk.codes.mains)
        codes = replace(talk.codes, mains=halved)
        talk.talk.publish(codes.to_bytes(), "codes")
        talk.vector(FIRST, codes.length, parameters=weights(codes), parts=talk.parts(codes))
        charged.append(talk.talk.charged[-1][1])
        made = mechanisms(PLAN).mechanism(phase_of(PLAN, FIRST), codes.length)
        assert made.own_scale(3) > 0
    assert charged[0] == charged[1]


def longer(talk: AdditiveTalk) -> Codes:
    """More products than the plan's longest sum holds: pairs in the phase of features alone."""
    wide = tuple(np.full((size, 200), CODE_LIMIT) for size in talk.codes.sizes)
    return replace(talk.codes, mains=wide)


@pytest.mark.parametrize(
    ("phase", "change", "code"),
    [
        (FIRST, lambda talk, sent: {"parameters": sent[:-1]}, "bad-parameters"),
        (FIRST, lambda talk, sent: {"parameters": np.append(sent, 0.0)}, "bad-parameters"),
        (FIRST, lambda talk, sent: {"parameters": np.full_like(sent, np.nan)}, "bad-parameters"),
        (FIRST, lambda talk, sent: {"parts": {"bins": digest(talk.talk.bins)}}, "wrong-parts"),
        (FIRST, lambda talk, sent: {"parts": talk.parts() | {"pairs": digest(talk.pairs.to_bytes())}}, "wrong-parts"),
        (PAIRS, lambda talk, sent: {}, "wrong-parts"),
        (RESIDUALS, lambda talk, sent: {}, "bad-parameters"),
        (EVALUATE, lambda talk, sent: {}, "bad-parameters"),
        (
            EVALUATE,
            lambda talk, sent: {"parameters": np.concatenate([sent, np.arange(CURVE_LENGTH, 0, -1.0) * 3])},
            "bad-parameters",
        ),
    ],
)
def test_crafted_requests_are_refused_before_a_record_is_read(phase, change, code):
    talk = AdditiveTalk(PLAN)
    sent = weights(talk.codes)
    talk.talk.watch()
    request = {"parameters": sent, "parts": talk.parts()} | change(talk, sent)
    assert talk.talk.code(phase, **request) == code
    assert talk.talk.charged == []
    assert talk.talk.looks == []


@pytest.mark.parametrize(
    "body",
    [
        lambda talk: b"",
        lambda talk: talk.codes.to_bytes()[:-1],
        lambda talk: talk.talk.bins,
        lambda talk: replace(talk.codes, mains=talk.codes.mains[:-1], factors=talk.codes.factors[:-1]).to_bytes(),
        lambda talk: longer(talk).to_bytes(),
    ],
)
def test_crafted_codes_are_refused_before_a_record_is_read(body):
    talk = AdditiveTalk(PLAN)
    crafted = body(talk)
    talk.talk.publish(crafted, "codes")
    talk.talk.watch()
    parts = {"bins": digest(talk.talk.bins), "codes": digest(crafted)}
    sent = weights(longer(talk))
    assert talk.talk.code(FIRST, parameters=sent, parts=parts) == "bad-part"
    assert talk.talk.charged == []
    assert talk.talk.looks == []


def test_no_length_exceeds_what_the_plan_alone_says():
    rule = bin_rule(PLAN, "lender")
    made = {phase.name: phase.summed.longest(PLAN, "lender") for phase in mechanisms(PLAN).phases}
    most = 1 + sum(rule.sizes)
    assert made[FIRST] == most
    features = len(rule.features)
    assert made[PAIRS] == 1 + features * (features - 1) // 2 * 100
    assert made[SECOND] == made[FIRST] + made[PAIRS] - 1


def test_a_pair_of_features_that_are_not_there_is_no_code():
    talk = AdditiveTalk()
    with pytest.raises(ValueError, match="order"):
        replace(talk.pairs, pairs=(Pair(0, 9, talk.pairs.pairs[0].kept),))
