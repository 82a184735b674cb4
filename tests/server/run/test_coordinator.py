"""The coordinator: phases in order, what it makes of failures, and that no data can be reached from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from builders import BIN, CALIBRATE, EVALUATE, LENDERS, TRAIN, small_federation, small_plan
from doubles import DirectExchange, Quiet, nodes_of

from sealscore.server.run.coordinator import Coordinator, RunOutcome
from sealscore.server.run.rounds import AttemptsSpent, Observer
from sealscore.server.transport.exchange import (
    ClearMessenger,
    Delivered,
    Exchange,
    Failure,
    MissingParties,
    PhaseFailed,
)
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.messages.codec import decode
from sealscore.shared.messages.messages import Finish, Hello, Publish, SumRequest
from sealscore.shared.model.released.table_figures import TableFigures
from sealscore.shared.plan.plan import Plan

PLAN = small_plan(privacy__noise="none", training__rounds=8)
KINDS = (Hello, Publish, SumRequest, Finish)


def coordinate(
    plan: Plan = PLAN, exchange: Exchange | None = None, observer: Observer | None = None, run: str = "run-1"
) -> RunOutcome:
    if exchange is None:
        exchange = DirectExchange(nodes_of(plan, small_federation())[0])
    return Coordinator(plan, run, ClearMessenger(exchange), PlainSum(), observer or Quiet(), patience=0.0).run()


def figures(outcome: RunOutcome, name: str = "all") -> TableFigures:
    """What the noisy table of that name tells of the model."""
    return TableFigures.of(outcome.tables.tables[name], outcome.model.calibration, outcome.tables.noise_std)


def weights(outcome: RunOutcome) -> bytes:
    return outcome.model.weights.vector.tobytes()


class Upset(Quiet):
    """Takes parties away, or brings them back, when a round is done."""

    def __init__(self, exchange: DirectExchange, at: Mapping[tuple[str, int], set[str]]) -> None:
        super().__init__()
        self._exchange, self._at = exchange, at

    def round(self, row: dict[str, Any]) -> None:
        super().round(row)
        if (away := self._at.get((row["phase"], row["round"]))) is not None:
            self._exchange.away.clear()
            self._exchange.away.update(away)


class TestPhases:
    def test_in_their_order_and_each_round_told(self):
        observer = Quiet()
        outcome = coordinate(observer=observer)
        assert observer.phases == [BIN, TRAIN, CALIBRATE, EVALUATE]
        assert [(row["phase"], row["round"]) for row in observer.rows] == [
            (BIN, 1),
            *((TRAIN, round) for round in range(1, 9)),
            (CALIBRATE, 1),
            (EVALUATE, 1),
        ]
        assert outcome.early == {}
        assert outcome.answered == {
            BIN: dict.fromkeys(LENDERS, 1),
            TRAIN: dict.fromkeys(LENDERS, 8),
            CALIBRATE: dict.fromkeys(LENDERS, 1),
            EVALUATE: dict.fromkeys(LENDERS, 1),
        }

    def test_tables_of_all_and_of_every_band(self):
        outcome = coordinate()
        assert list(outcome.tables.tables) == [
            "all",
            *(f"age: {band}" for band in ("up to 30", "30-50", "above 50", "missing")),
            *(f"sex: {band}" for band in ("f", "m", "missing")),
        ]
        test = sum(int(records.test.sum()) for records in small_federation().values())
        assert outcome.tables.noise_std == 0
        assert figures(outcome).records.value == test
        assert 0.5 < figures(outcome).auc.value < 1
        for bands in (("sex: f", "sex: m", "sex: missing"), ("age: up to 30", "age: 30-50", "age: above 50")):
            total = sum(outcome.tables.tables[band] for band in bands)
            assert np.array_equal(total, outcome.tables.tables["all"])

    def test_the_model_says_which_plan_it_is_of(self):
        assert coordinate().model.card["plan"] == PLAN.hash

    def test_the_last_round_takes_the_step_and_the_average_is_kept(self):
        """Averaging the last half of the iterates gives other weights than the last iterate alone."""
        alone = PLAN.replace(training__optimizer__average_last=0.0)
        assert weights(coordinate(alone)) != weights(coordinate())


class TestSameModel:
    def test_the_order_of_answers_does_not_matter(self):
        found = set()
        for order in (sorted, lambda names: sorted(names, reverse=True), lambda names: sorted(names, key=hash)):
            nodes, _ = nodes_of(small_plan(), small_federation())
            found.add(weights(coordinate(small_plan(), DirectExchange(nodes, order=order))))
        assert len(found) == 1

    def test_the_order_of_parties_does_not_matter(self):
        """The same parties, listed and held in another order, under one name of the run: the same bits."""
        plan = small_plan()
        parties = plan.model_dump(mode="json")["parties"]
        turned = plan.replace(parties=parties[::-1])
        assert turned.hash != plan.hash
        outcomes = []
        for one, records in ((plan, small_federation()), (turned, dict(reversed(small_federation().items())))):
            outcomes.append(coordinate(one, DirectExchange(nodes_of(one, records)[0])))
        assert weights(outcomes[0]) == weights(outcomes[1])
        assert outcomes[0].model.calibration == outcomes[1].model.calibration
        assert {name: table.tolist() for name, table in outcomes[0].tables.tables.items()} == {
            name: table.tolist() for name, table in outcomes[1].tables.tables.items()
        }

    def test_a_round_that_was_tried_again_is_another_draw(self):
        """The second attempt has fresh noise and a fresh sample, even when all parties are in it."""
        plan = small_plan()
        failed = [1]

        def spoil(party: str, request: bytes, answer: bytes) -> Delivered:
            message = decode(request, *KINDS)
            if isinstance(message, SumRequest) and message.header.phase == TRAIN and failed and party == "lender-1":
                failed.pop()
                return Failure(party, "timeout")
            return answer

        groups = plan.model_dump(mode="json")["groups"]
        groups["lender"] |= {"min_parties": 3, "max_colluding": 1}
        strict = plan.replace(groups=groups)
        calm = coordinate(strict, DirectExchange(nodes_of(strict, small_federation())[0]))
        upset = coordinate(strict, DirectExchange(nodes_of(strict, small_federation())[0], spoil))
        assert upset.answered[TRAIN] == dict.fromkeys(LENDERS, 5)
        assert weights(calm) != weights(upset)


class TestFailures:
    def test_missing_parties_are_named_before_anything_is_asked(self):
        exchange = DirectExchange(nodes_of(PLAN, small_federation())[0], away={"lender-2", "lender-3"})
        with pytest.raises(MissingParties) as caught:
            coordinate(exchange=exchange)
        assert caught.value.missing == ["lender-2", "lender-3"]
        assert "lender-2, lender-3" in str(caught.value)
        assert "there: lender-1" in str(caught.value)
        assert exchange.log == []

    def test_a_party_that_leaves_for_good_is_counted_and_the_run_goes_on(self):
        exchange = DirectExchange(nodes_of(PLAN, small_federation())[0])
        observer = Upset(exchange, {(TRAIN, 3): {"lender-2"}})
        outcome = coordinate(exchange=exchange, observer=observer)
        rows = {(row["phase"], row["round"]): row for row in observer.rows}
        assert rows[TRAIN, 3]["cohort"] == 3
        assert (rows[TRAIN, 4]["cohort"], rows[TRAIN, 4]["attempts"]) == (2, 2)
        assert rows[TRAIN, 4]["failures"] == {"lender-2": "unavailable"}
        assert rows[EVALUATE, 1]["cohort"] == 2
        assert outcome.early == {}
        assert rows[TRAIN, 8]["cohort"] == 2

    def test_a_smaller_cohort_is_divided_by_its_own_records(self):
        """All hold the same records, so the mean gradient of two of them is that of all three."""
        plan = PLAN.replace(training__sample_rate=1.0)
        alike = dict.fromkeys(LENDERS, small_federation()["lender-1"])
        norms = []
        for away in (set(), {"lender-2"}):
            exchange = DirectExchange(nodes_of(plan, alike)[0])
            observer = Upset(exchange, {(BIN, 1): away})
            coordinate(plan, exchange, observer)
            rows = [row for row in observer.rows if row["phase"] == TRAIN]
            assert {row["cohort"] for row in rows} == {3 - len(away)}
            norms.append([row["gradient_norm"] for row in rows])
        np.testing.assert_allclose(norms[0], norms[1], rtol=1e-3)

    def test_a_party_that_comes_back_is_counted_in_again(self):
        exchange = DirectExchange(nodes_of(PLAN, small_federation())[0])
        observer = Upset(exchange, {(TRAIN, 2): {"lender-2"}, (TRAIN, 4): set()})
        coordinate(exchange=exchange, observer=observer)
        cohorts = [row["cohort"] for row in observer.rows if row["phase"] == TRAIN]
        assert cohorts[:2] == [3, 3]
        assert 2 in cohorts[2:4]
        assert cohorts[-1] == 3

    def test_too_few_parties_are_named_with_their_reasons(self):
        exchange = DirectExchange(nodes_of(PLAN, small_federation())[0])
        observer = Upset(exchange, {(TRAIN, 2): {"lender-2", "lender-3"}})
        with pytest.raises(PhaseFailed) as caught:
            coordinate(exchange=exchange, observer=observer)
        message = str(caught.value)
        assert message.startswith("train_tower:lender")
        assert "lender-2 (unavailable)" in message
        assert "lender-3 (unavailable)" in message

    def test_training_that_runs_out_of_attempts_ends_early_and_says_so(self):
        """Every other answer of one party fails: 8 rounds would take 16 attempts and the budget holds 12."""
        groups = PLAN.model_dump(mode="json")["groups"]
        groups["lender"] |= {"min_parties": 3, "max_colluding": 1}
        plan = PLAN.replace(groups=groups)
        turn = [0]

        def spoil(party: str, request: bytes, answer: bytes) -> Delivered:
            message = decode(request, *KINDS)
            if party != "lender-3" or not isinstance(message, SumRequest) or message.header.phase != TRAIN:
                return answer
            turn[0] += 1
            return answer if turn[0] % 2 == 0 else b"rubbish"

        exchange = DirectExchange(nodes_of(plan, small_federation())[0], spoil)
        observer = Quiet()
        outcome = coordinate(plan, exchange, observer)
        assert list(outcome.early) == [TRAIN]
        assert f"{TRAIN}: all 12 attempts are spent in round 7" in outcome.early[TRAIN]
        assert "the model is that of 6 of 8 rounds" in outcome.early[TRAIN]
        assert outcome.answered[TRAIN] == dict.fromkeys(LENDERS, 12)
        assert figures(outcome).auc.value > 0.5
        assert [row["phase"] for row in observer.rows][-2:] == [CALIBRATE, EVALUATE]

    @pytest.mark.parametrize("rounds", [1, 8])
    def test_training_that_never_gets_a_round_fails(self, rounds: int):
        """With few attempts they are spent first, with many the party is given up first; it is named either way."""
        groups = PLAN.model_dump(mode="json")["groups"]
        groups["lender"] |= {"min_parties": 3, "max_colluding": 1}
        plan = PLAN.replace(groups=groups, training__rounds=rounds)

        def spoil(party: str, request: bytes, answer: bytes) -> Delivered:
            message = decode(request, *KINDS)
            lost = isinstance(message, SumRequest) and message.header.phase == TRAIN and party == "lender-3"
            return Failure(party, "timeout") if lost else answer

        expected = AttemptsSpent if rounds == 1 else PhaseFailed
        with pytest.raises(expected, match=r"train_tower:lender: .*lender-3 \((timeout|failed before)\)"):
            coordinate(plan, DirectExchange(nodes_of(plan, small_federation())[0], spoil))
