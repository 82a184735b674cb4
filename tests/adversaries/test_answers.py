"""A server that reads records from whether a party answers: it writes the plan, so a failure would be its predicate."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import vertical_builders as vertical
from builders import (
    BIN,
    CALIBRATE,
    EVALUATE,
    LENDERS,
    PLAN,
    RUN,
    TRAIN,
    no_weights,
    small_plan,
    small_records,
    with_columns,
)
from defences import Defences
from doubles import Talk, node_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.clients.data.derive import derived_columns
from sealscore.shared.messages.codec import Address, decode, encode
from sealscore.shared.messages.messages import PairAnswer, Refusal, SumAnswer, SumRequest
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.hazards import LARGEST, hazards
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.plan.schema import TableSchema
from sealscore.simulations.data.scenario import Scenario, packaged

MOST = 1.7976931348623157e308
PHASES = (BIN, TRAIN, CALIBRATE, EVALUATE)


def derived_plan(**changes: Any) -> Plan:
    """The small plan with a derived column of income and months, both without missing values."""
    data = copy.deepcopy(PLAN)
    table = data["groups"]["lender"]["table"]
    table["features"][0] |= changes.pop("income", {})
    table["features"][1] = {"name": "months", "lower": 0, "upper": 24, "integer": True}
    formula = {"op": "linear", "of": ["income", "months"]} | changes
    table["derived"] = [{"name": "probe", "lower": -1.0, "upper": 1.0, "formula": formula}]
    return Plan.parse(data)


def somebody(plan: Plan, income: float, months: float) -> Records:
    """Records of which one training person is special."""
    records = small_records(seed=1, schema=plan.groups["lender"].table)
    columns = {"income": np.minimum(records.columns["income"], 599), "months": np.nan_to_num(records.columns["months"])}
    row = int(np.flatnonzero(~records.test)[0])
    columns["income"][row], columns["months"][row] = income, months
    columns = derived_columns(records.schema, {**records.columns, **columns})
    return dataclasses.replace(records, columns=columns)


class TestNumbersOfThePlan:
    # inf - inf for those with an income above 600 who are also longer than 23.5 months with the lender
    CRAFTED = derived_plan(weights=[MOST / 600, -MOST / 23.5])

    @pytest.mark.parametrize(("income", "months"), [(650, 24), (650, 23), (590, 24)])
    def test_a_formula_that_overflows_for_one_kind_of_person_tells_of_nobody(self, income: float, months: float):
        charged: list[Any] = []
        told: list[str] = []
        plan, records = self.CRAFTED, somebody(self.CRAFTED, income, months)
        node = node_of(plan, "lender-1", records, lambda header, event: charged.append(event), tell=told.append)
        header = Address(plan.hash, RUN, BIN, 1, 1, SERVER, "lender-1")
        answer = node.answer(encode(SumRequest(header, LENDERS, no_weights(), {})))
        assert isinstance(decode(answer, SumAnswer, Refusal), SumAnswer)
        assert told == []
        assert len(charged) == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"weights": [MOST / 600, -MOST / 23.5]},
            {"weights": [MOST, 1.0]},
            {"income": {"upper": 1e308, "scale": None}},
            {"income": {"upper": 1e308, "lower": -1e308, "scale": 1.0}},
            {"income": {"scale": 1e-300}},
            {"op": "ratio", "per": ["months"], "floor": 1e-308},
            {"op": "ratio", "per": ["months"], "floor": 5e-324, "weights": [1e-10, 1e-10]},
            {
                "op": "ratio",
                "of": ["months"],
                "per": ["income"],
                "floor": 1.0,
                "income": {"upper": 1e301, "scale": 1e9},
            },
        ],
    )
    def test_numbers_that_overflow_are_found_from_public_bounds(self, changes: dict[str, Any]):
        found = hazards(derived_plan(**changes))
        assert found
        assert all("'probe'" in what or "'income'" in what for what in found)

    def test_ordinary_plans_have_no_hazards(self):
        for plan in (small_plan(), vertical.vertical_plan(), derived_plan(weights=[1e6, -1e-6])):
            assert hazards(plan) == []

    @pytest.mark.parametrize("name", sorted(packaged()))
    def test_no_plan_that_is_shipped_has_hazards(self, name: str):
        assert hazards(Scenario.load(packaged()[name]).plan) == []

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_without_hazards_every_value_within_the_bounds_has_a_finite_feature(self, data: st.DataObject):
        """And with hazards no record fails, and none is another for who else is there."""
        number = st.floats(allow_nan=False, allow_infinity=False)
        low, high = sorted(data.draw(st.tuples(number, number), "bounds"))
        low, high = (low, high) if low < high else (0.0, 1.0)
        scale = data.draw(st.none() | st.floats(min_value=5e-324, max_value=MOST), "scale")
        weights = data.draw(st.lists(number, min_size=2, max_size=2), "weights")
        ratio = {"op": "ratio", "per": ["a"], "floor": data.draw(st.floats(min_value=5e-324, max_value=MOST))}
        formula = {"of": ["a", "b"], "weights": weights} | data.draw(st.sampled_from([{"op": "linear"}, ratio]))
        columns = [{"name": name, "lower": low, "upper": high, "scale": scale} for name in "ab"]
        derived = {"name": "d", "lower": -1, "upper": 1, "formula": formula}
        plan = derived_plan()
        table = TableSchema.model_validate({"id": "id", "label": "bad", "features": columns, "derived": [derived]})
        lender = plan.groups["lender"].model_copy(update={"table": table})
        plan = plan.model_copy(update={"groups": {"lender": lender}})
        values = np.array(data.draw(st.lists(st.sampled_from([low, high, 0.5 * low + 0.5 * high]), min_size=2)))
        found = derived_columns(table, {"a": values, "b": values[::-1].copy()})["d"]
        assert np.isfinite(found).all()
        alone = derived_columns(table, {"a": values[:1], "b": values[::-1][:1].copy()})["d"]
        assert alone[0] == found[0]
        if not hazards(plan):
            with np.errstate(over="raise", invalid="raise"):
                top = np.abs(np.array(weights)) * max(abs(low), abs(high))
                assert top.sum() <= LARGEST


def break_everything(monkeypatch: pytest.MonkeyPatch, talk: Talk) -> None:
    """From here on no work of the role can read a record."""

    def fail(*args: Any) -> Any:
        raise ValueError("income of applicant 17 is 4711")

    for name in ("_part", "_labels"):
        monkeypatch.setattr(talk.node.role, name, fail)


class TestWorkThatFails:
    """Where the work on a party's records fails, an answer leaves all the same."""

    def test_it_looks_like_any_answer_and_is_charged_once(self, monkeypatch: pytest.MonkeyPatch):
        plan = small_plan()
        good, bad = Talk(plan), Talk(plan)
        for talk in (good, bad):
            talk.publish()
        break_everything(monkeypatch, bad)
        for phase in PHASES:
            one, other = (talk.ask(phase) for talk in (good, bad))
            assert isinstance(other, SumAnswer)
            assert len(one.contribution) == len(other.contribution)
            assert one.contribution != other.contribution
        assert [event for _, event in good.charged] == [event for _, event in bad.charged]
        assert bad.told
        assert all("ValueError" in words and "4711" not in words for words in bad.told)

    def test_the_answer_is_that_of_a_party_without_records(self, monkeypatch: pytest.MonkeyPatch):
        """So its noise is that of any answer, also where a party adds all of it on its own way."""
        local = {"steps": 3, "learning_rate": 0.5}
        for plan in (small_plan(), small_plan(training__algorithm="fedavg", training__local=local)):
            bad, nobody = Talk(plan), Talk(plan, records=small_records(seed=1).take(np.zeros(0, dtype=np.int64)))
            for talk in (bad, nobody):
                talk.publish()
            real, seen = type(bad.node.role)._part, []

            def part(test: bool, real: Any = real, talk: Talk = bad, seen: list[bool] = seen) -> Records:
                if len(talk.node.role.records):
                    seen.append(test)
                    raise ValueError
                found: Records = real(talk.node.role, test)
                return found

            monkeypatch.setattr(bad.node.role, "_part", part)
            for phase in PHASES:
                assert bad.ask(phase) == nobody.ask(phase)
            assert seen == [False, False, False, True]

    @pytest.mark.parametrize("column", ["sector", "income"])
    def test_values_that_no_check_let_through(self, column: str):
        """Records that are not what the check says can only come of a fault of this program."""
        for value in (np.nan, np.inf, -np.inf, 17.25, -1.0, MOST):
            talk = Talk(small_plan(), records=with_columns(small_records(seed=1), **{column: np.full(400, value)}))
            talk.publish()
            for phase in PHASES:
                assert isinstance(talk.ask(phase), SumAnswer)

    def test_without_the_defence_the_failure_is_seen(self, monkeypatch: pytest.MonkeyPatch):
        with Defences().without("answers of failed work"):
            talk = Talk(small_plan())
            talk.publish()
            break_everything(monkeypatch, talk)
            assert talk.code(BIN) == "unavailable"

    @pytest.mark.parametrize(
        ("kind", "party", "peer", "step"),
        [
            (Kind.ALIGN, "lender-1", "wallet", 1),
            (Kind.ALIGN, "wallet", "lender-1", 2),
            (Kind.LABELS, "lender-1", "wallet", 1),
            (Kind.SIGNAL, "wallet", "lender-1", 1),
            (Kind.GROUPS, "wallet", "lender-1", 1),
        ],
    )
    def test_a_step_of_a_pair_is_answered_with_nobody(self, kind: Kind, party: str, peer: str, step: int):
        plan = vertical.only(vertical.vertical_plan(), "lender-1", "wallet", alignment__min_overlap=1)
        good, bad = vertical.Wire(plan), vertical.Wire(plan)
        replies = []
        for wire in (good, bad):
            body = b""
            if kind is not Kind.ALIGN:
                wire.align("lender-1", "wallet")
            elif step == 2:
                body = wire.give(Kind.ALIGN, peer, party, 1)
            parts = wire.publish(party, **wire.tower(party)) if kind is Kind.SIGNAL else {}
            if wire is bad:
                spoil(wire.nodes[party].role)
            before = len(wire.charged) + len(wire.noted)
            replies.append(wire.ask(kind, party, peer, step, body, parts))
            assert len(wire.charged) + len(wire.noted) - before <= 1
        assert all(isinstance(reply, PairAnswer) for reply in replies)
        assert len(replies[0].body) == len(replies[1].body)
        assert bad.told
        assert good.told == []


def spoil(role: Any) -> None:
    """From here on a role fails over any records that it has."""
    real: Callable[..., Any] = role._joined

    def fail(*args: Any) -> Any:
        if len(role.records):
            raise ValueError("income of applicant 17 is 4711")
        return real(*args)

    role._joined = fail
