"""The contract: what it refuses, how it says so, and that its hash sees nothing but its meaning."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_files import enrolled_plan
from vertical_builders import vertical_plan

from sealscore.shared.identity.identity import Identity
from sealscore.shared.plan.bounds import MAX_TEXT
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.hazards import simulated_only
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature, TableSchema

BASE: dict[str, Any] = {
    "name": "three-lenders",
    "purpose": "testing the plan",
    "seed": 7,
    "groups": {
        "lender": {
            "role": "lender",
            "min_parties": 3,
            "max_colluding": 1,
            "table": {
                "id": "ID",
                "label": "bad",
                "features": [
                    {"kind": "numeric", "name": "limit", "lower": 0, "upper": 1000, "scale": 10},
                    {"kind": "categorical", "name": "sex", "levels": ["1", "2"], "protected": True},
                    {"kind": "numeric", "name": "age", "lower": 18, "upper": 100, "integer": True, "protected": True},
                ],
            },
        }
    },
    "parties": [{"name": f"lender-{n}", "group": "lender", "nominal_records": 100} for n in (1, 2, 3)],
    "outcome": {"definition": "90 days past due", "window_days": 365, "cutoff": "2020-01-01"},
    "privacy": {"epsilon": 1, "delta": 1e-5, "label_epsilon": 2},
    "training": {"rounds": 300, "sample_rate": 0.05},
    "evaluation": {"split": {"kind": "hash", "key": "k", "test_fraction": 0.2}, "groups": {"sex": [], "age": [30, 50]}},
}

PLATFORM = {
    "role": "platform",
    "min_parties": 1,
    "max_colluding": 0,
    "table": {"id": "creator", "features": [{"kind": "numeric", "name": "views", "lower": 0, "upper": 10}]},
}


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """BASE with dotted keys set; None takes a key away."""
    data = copy.deepcopy(BASE)
    for key, value in changes.items():
        *path, last = (int(step) if step.isdigit() else step for step in key.split("."))
        place: Any = data
        for step in path:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return data


def refusal(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(PlanError) as caught:
        Plan.parse(changed(changes))
    return caught.value.problems


def shuffled(value: Any, order: random.Random) -> Any:
    """The same mapping with its keys in another order, at every depth."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


def rewritten(value: Any) -> Any:
    """The same numbers, written the other way: 1 as 1.0 and 1.0 as 1."""
    if isinstance(value, dict):
        return {key: rewritten(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rewritten(item) for item in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


class TestHash:
    @given(st.randoms(use_true_random=False))
    def test_order_of_keys_does_not_change_it(self, order):
        assert Plan.parse(shuffled(BASE, order)).hash == Plan.parse(BASE).hash

    def test_order_of_groups_changes_neither_hash_nor_plan(self):
        both = changed({"parties": [*BASE["parties"], {"name": "app", "group": "video", "nominal_records": 9}]})
        tables = {"lender": BASE["groups"]["lender"], "video": PLATFORM}
        one = Plan.parse(both | {"groups": tables})
        other = Plan.parse(both | {"groups": dict(reversed(tables.items()))})
        assert one.hash == other.hash
        assert list(one.groups) == list(other.groups)

    @given(st.floats(min_value=0.1, max_value=40).filter(lambda x: not x.is_integer()) | st.integers(1, 40))
    def test_writing_of_a_number_does_not_change_it(self, epsilon):
        data = changed({"privacy.epsilon": epsilon})
        assert Plan.parse(data).hash == Plan.parse(rewritten(data)).hash

    def test_written_out_defaults_do_not_change_it(self):
        plan = Plan.parse(BASE)
        assert Plan.parse(json.loads(plan.canonical())).hash == plan.hash

    @given(
        st.sampled_from(["privacy.epsilon", "seed", "training.rounds", "parties.0.nominal_records"]), st.integers(8, 40)
    )
    def test_every_value_changes_it(self, key, value):
        assert Plan.parse(changed({key: value})).hash != Plan.parse(BASE).hash

    def test_order_of_parties_and_features_matters(self):
        reordered = changed({"parties": list(reversed(BASE["parties"]))})
        assert Plan.parse(reordered).hash != Plan.parse(BASE).hash

    def test_it_is_fixed_for_good(self):
        canonical = Plan.parse(BASE).canonical()
        assert canonical.isascii()
        assert b'"epsilon":1.0' in canonical
        assert b" " not in canonical.replace(b"90 days past due", b"").replace(b"testing the plan", b"")

    def test_canonical_bytes_round_trip_and_nothing_else_does(self):
        plan = Plan.parse(BASE)
        assert Plan.from_canonical(plan.canonical()) == plan
        for other in (plan.canonical() + b" ", json.dumps(BASE).encode(), b"\xff", b"[]", b"", b"[" * 100_000):
            with pytest.raises(PlanError):
                Plan.from_canonical(other)

    def test_toml_and_mapping_agree(self, tmp_path: Path):
        text = """
            seed = 7
            purpose = "testing the plan"
            name = "three-lenders"
            parties = [
                { name = "lender-1", group = "lender", nominal_records = 100 },
                { name = "lender-2", nominal_records = 100, group = "lender" },
                { name = "lender-3", group = "lender", nominal_records = 1_00 },
            ]
            [groups.lender]
            role = "lender"
            max_colluding = 1
            min_parties = 3
            [groups.lender.table]
            label = "bad"
            id = "ID"
            features = [
                { name = "limit", lower = 0.0, upper = 1e3, scale = 10 },
                { name = "sex", kind = "categorical", levels = ["1", "2"], protected = true },
                { name = "age", lower = 18, upper = 100, integer = true, protected = true },
            ]
            [outcome]
            definition = "90 days past due"
            window_days = 365
            cutoff = 2020-01-01
            [privacy]
            epsilon = 1.0
            delta = 0.00001
            label_epsilon = 2.0
            [training]
            rounds = 300
            sample_rate = 5e-2
            [evaluation]
            groups = { age = [30, 50], sex = [] }
            split = { kind = "hash", key = "k", test_fraction = 0.2 }
        """
        (tmp_path / "plan.toml").write_text(text)
        assert Plan.load(tmp_path / "plan.toml").hash == Plan.parse(BASE).hash


LATER = {
    "groups.lender.table.features.0.clip": (False, True),
    "groups.lender.table.features.1.other": (None, "2"),
    "groups.lender.table.read_from_data": (False, True),
    "outcome.bad_rate": (None, 0.2),
    "outcome.placeholder": (False, True),
    "evaluation.validation": (0.2, 0.3),
}


class TestLaterKeys:
    """Keys that came after plans were approved: whoever leaves them out has the plan that was approved."""

    @pytest.mark.parametrize("key", LATER)
    def test_their_defaults_are_not_hashed_and_other_values_are(self, key: str):
        default, other = LATER[key]
        written = f'"{key.rpartition(".")[2]}":'.encode()
        given, without = Plan.parse(changed({key: other})), Plan.parse(BASE)
        assert written in given.canonical()
        assert written not in without.canonical()
        assert Plan.from_canonical(given.canonical()) == given
        if default is not None:
            assert Plan.parse(changed({key: default})).hash == without.hash

    def test_training_may_be_left_out(self):
        assert Plan.parse(changed({"training": None})).training.rounds > 0

    def test_other_is_a_level(self):
        (line,) = refusal({"groups.lender.table.features.1.other": "3"})
        assert "other" in line

    @pytest.mark.parametrize("key", ["groups.lender.table.read_from_data", "outcome.placeholder"])
    def test_a_real_node_refuses_what_a_draft_leaves_open(self, key: str):
        assert simulated_only(Plan.parse(BASE)) == []
        (line,) = simulated_only(Plan.parse(changed({key: True})))
        assert key in line


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("key", "place", "meant"),
        [
            ("sed", "sed", "seed"),
            ("privacy.epsiln", "privacy.epsiln", "epsilon"),
            ("groups.lender.rol", "groups.lender.rol", "role"),
            ("groups.lender.table.lable", "groups.lender.table.lable", "label"),
            ("groups.lender.table.features.0.uper", "groups.lender.table.features.0.uper", "upper"),
            ("groups.lender.table.features.1.levls", "groups.lender.table.features.1.levls", "levels"),
            ("parties.0.groop", "parties.0.groop", "group"),
            ("evaluation.split.kay", "evaluation.split.kay", "key"),
        ],
    )
    def test_the_line_names_key_and_likely_meaning(self, key, place, meant):
        assert any(
            line.startswith(f"{place}: unknown key; did you mean {meant!r}?") and "allowed: " in line
            for line in refusal({key: 1})
        )

    def test_without_a_close_key_the_allowed_ones_are_listed(self):
        (line,) = refusal({"outcome.zzz": 1})
        assert line == "outcome.zzz: unknown key; allowed: bad_rate, cutoff, definition, placeholder, window_days"


class TestImpossibleValues:
    @pytest.mark.parametrize(
        ("key", "value", "allowed"),
        [
            ("privacy.epsilon", 0, "greater than or equal to"),
            ("privacy.epsilon", -1.0, "greater than or equal to"),
            ("privacy.epsilon", 51, "less than or equal to 50"),
            ("privacy.epsilon", float("nan"), "finite"),
            ("privacy.epsilon", "much", "valid number"),
            ("privacy.delta", 0.5, "less than or equal to 0.001"),
            ("privacy.clip_norm", 0, "greater than or equal to"),
            ("privacy.max_records_per_person", 0, "greater than or equal to 1"),
            ("privacy.noise", "laplace", "'discrete-gaussian' or 'none'"),
            ("training.sample_rate", 0, "greater than or equal to"),
            ("training.sample_rate", 1.01, "less than or equal to 1"),
            ("training.rounds", 0, "greater than or equal to 1"),
            ("training.rounds", 2.5, "valid integer"),
            ("training.algorithm", "sgd", "'dp-sgd', 'fedavg', 'fedprox' or 'auto'"),
            ("parties.1.nominal_records", 0, "greater than or equal to 1"),
            ("parties.1.name", "Bank One", "match pattern"),
            ("seed", -1, "greater than or equal to 0"),
            ("outcome.cutoff", "2020-13-01", "valid date"),
            ("evaluation.split.test_fraction", 1, "less than 1"),
            ("model.bins", 1, "greater than or equal to 2"),
        ],
    )
    def test_the_line_names_key_value_and_range(self, key, value, allowed):
        data: dict[str, Any] = {key: value} if not key.startswith("model") else {"model": {"bins": value}}
        (line,) = refusal(data)
        assert line.startswith(f"{key} = {value!r}: ")
        assert allowed in line

    def test_all_problems_come_at_once(self):
        lines = refusal({"privacy.epsilon": -1, "training.rounds": 0, "outcome": None, "sed": 1})
        assert [line.split(":")[0].split(" =")[0] for line in lines] == [
            "outcome",
            "privacy.epsilon",
            "training.rounds",
            "sed",
        ]

    def test_a_faulty_item_does_not_make_its_list_too_short(self):
        (line,) = refusal({"groups.lender.table.features": [{"kind": "text", "name": "a"}], "evaluation.groups": None})
        assert line.startswith("groups.lender.table.features.0: ")
        (line,) = refusal({"groups.lender.table.features": [], "evaluation.groups": None})
        assert line.startswith("groups.lender.table.features = []: ")

    @pytest.mark.parametrize(
        "key", ["groups", "groups.lender", "parties.0", "groups.lender.table.features.0", "outcome"]
    )
    @pytest.mark.parametrize("value", ["x", 3, [[1]]])
    def test_something_else_than_a_table(self, key, value):
        assert any(line.startswith(f"{key} = {value!r}: ") for line in refusal({key: value}))

    def test_bounds_in_the_wrong_order(self):
        (line,) = refusal({"groups.lender.table.features.0.upper": -1})
        assert line == "groups.lender.table.features.0: upper must be above lower = 0.0"

    @pytest.mark.parametrize(
        ("split", "said"),
        [
            ({"kind": "ids", "test_fraction": 0.2, "file": "a.txt"}, "a split by ids needs 'sha256'"),
            ({"kind": "hash", "test_fraction": 0.2}, "a split by hash needs 'key'"),
            ({"kind": "hash", "test_fraction": 0.2, "key": "k", "file": "a.txt"}, "has no use for 'file'"),
            ({"kind": "date", "test_fraction": 0.2}, "needs 'first_test_day'"),
            ({"kind": "hash", "test_fraction": 0.2, "key": ""}, "at least 1 character"),
            ({"kind": "date", "test_fraction": 0.2, "first_test_day": "2019-06-01"}, "groups.lender.table.date"),
        ],
    )
    def test_splits_that_do_not_hold_together(self, split, said):
        assert said in "\n".join(refusal({"evaluation.split": split}))

    def test_groups_of_the_evaluation_are_protected_features(self):
        (line,) = refusal({"evaluation.groups": {"limit": [10]}})
        assert "'limit'" in line
        assert "['age', 'sex']" in line


class TestParties:
    def test_none_at_all(self):
        (line,) = refusal({"parties": None})
        assert line == "parties: missing; the plan needs it"
        (line,) = refusal({"parties": []})
        assert line.startswith("parties = []")

    def test_two_with_one_name(self):
        (line,) = refusal({"parties.2.name": "lender-1"})
        assert line == "parties: two are named 'lender-1'; names must be distinct"

    def test_of_a_group_that_is_not_there(self):
        (line,) = refusal({"parties.0.group": "bank"})
        assert "'lender-1' is of group 'bank'" in line
        assert "['lender']" in line

    def test_a_group_without_parties(self):
        (line,) = refusal({"groups.video": PLATFORM})
        assert line.startswith("groups.video: no party of the plan belongs to it")

    def test_no_lender_or_two_kinds_of_lender(self):
        (line,) = refusal({"groups": {"lender": PLATFORM}, "evaluation.groups": None})
        assert "exactly one must have the role 'lender', found none" in line

    @given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 5))
    def test_min_parties_is_colluders_plus_two_or_one_alone(self, count, least, colluding):
        parties = [{"name": f"p{n}", "group": "lender", "nominal_records": 10} for n in range(count)]
        data = changed(
            {"parties": parties, "groups.lender.min_parties": least, "groups.lender.max_colluding": colluding}
        )
        alone = count == 1 and least == 1 and colluding == 0
        valid = alone or (count > 1 and colluding + 2 <= least <= count)
        if valid:
            assert Plan.parse(data).groups["lender"].min_parties == least
        else:
            with pytest.raises(PlanError, match=r"groups\.lender\.(min_parties|max_colluding) = \d"):
                Plan.parse(data)

    def test_multiplicity_is_records_times_parties(self):
        plan = Plan.parse(changed({"privacy.max_records_per_person": 2}))
        assert plan.multiplicity("lender") == 6
        assert plan.replace(privacy__max_parties_per_person=1).multiplicity("lender") == 2
        with pytest.raises(PlanError, match="max_parties_per_person = 4: the plan has 3 parties"):
            plan.replace(privacy__max_parties_per_person=4)


class TestReplace:
    def test_gives_a_new_plan_and_leaves_the_old(self):
        plan = Plan.parse(BASE)
        other = plan.replace(privacy__epsilon=2, seed=8, parties__0__nominal_records=200)
        assert (other.privacy.epsilon, other.seed, other.parties[0].nominal_records) == (2.0, 8, 200)
        assert (plan.privacy.epsilon, plan.seed, plan.parties[0].nominal_records) == (1.0, 7, 100)
        assert other.replace(privacy__epsilon=1, seed=7, parties__0__nominal_records=100).hash == plan.hash

    def test_a_table_that_is_absent_is_made(self):
        plan = Plan.parse(BASE).replace(training__algorithm="fedavg", training__local__steps=3)
        assert plan.training.local is not None
        assert plan.training.local.steps == 3

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"privacy__epsilon": -1}, "privacy.epsilon = -1"),
            ({"privacy__epsiln": 1}, "did you mean 'epsilon'"),
            ({"privcy__epsilon": 1}, "did you mean 'privacy'"),
            ({"seed__x": 1}, "seed.x: the plan has no such key"),
            ({"parties__9__name": "x"}, "parties.9.name: the plan has no such key"),
        ],
    )
    def test_refuses_what_a_file_may_not_say(self, change, said):
        with pytest.raises(PlanError) as caught:
            Plan.parse(BASE).replace(**change)
        assert said in str(caught.value)


class TestFiles:
    def test_absent_unreadable_and_broken_files_are_named(self, tmp_path: Path):
        with pytest.raises(PlanError, match=r"absent\.toml: cannot be read"):
            Plan.load(tmp_path / "absent.toml")
        (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
        with pytest.raises(PlanError, match=r"latin\.toml: cannot be read"):
            Plan.load(tmp_path / "latin.toml")
        (tmp_path / "broken.toml").write_text("name = ")
        with pytest.raises(PlanError, match=r"broken\.toml: not valid TOML"):
            Plan.load(tmp_path / "broken.toml")


FEATURES = ({"kind": "numeric", "name": "a", "lower": 0, "upper": 1},)


class TestSchema:
    @pytest.mark.parametrize(
        ("table", "said"),
        [
            ({"id": "i", "features": FEATURES * 2}, "feature 'a' is listed twice"),
            ({"id": "a", "features": FEATURES}, "column 'a' cannot be a feature"),
            ({"id": "i", "label": "a", "features": FEATURES}, "column 'a' cannot be a feature"),
            ({"id": "i", "person": "i", "features": FEATURES}, "leave person out if it is the id"),
            ({"id": "i", "label": "y", "label_bad": "0", "features": FEATURES}, "label_good must differ"),
            ({"id": "i", "features": ({**FEATURES[0], "protected": True},)}, "at least one feature must"),
        ],
    )
    def test_tables_that_do_not_hold_together(self, table, said):
        with pytest.raises(ValueError, match=said):
            TableSchema.model_validate(table)

    def test_an_integer_feature_has_integer_bounds(self):
        with pytest.raises(ValueError, match="integer bounds"):
            NumericFeature(name="a", lower=0.5, upper=3, integer=True)

    def test_levels_are_distinct(self):
        with pytest.raises(ValueError, match="distinct"):
            CategoricalFeature(name="a", levels=("x", "x"))

    def test_protected_features_never_are_scored(self):
        table = Plan.parse(BASE).groups["lender"].table
        assert [feature.name for feature in table.scored] == ["limit"]
        assert [feature.name for feature in table.protected] == ["sex", "age"]

    @given(
        st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20),
        st.none() | st.floats(1e-3, 1e6),
    )
    def test_transform_is_monotone_and_inverse_undoes_it(self, values, scale):
        feature = NumericFeature(name="a", lower=-1e9, upper=1e9, scale=scale)
        ordered = np.sort(np.array(values))
        position = feature.transform(ordered)
        assert (np.diff(position) >= 0).all()
        np.testing.assert_allclose(feature.inverse(position), ordered, rtol=1e-9, atol=1e-9 * (scale or 1))


class TestSizes:
    """Who looks at a plan has not agreed to it: what is too large to look at is refused before it costs anything."""

    @pytest.mark.parametrize(
        "data",
        [b'{"version":' + b"1" * 5_000 + b"}", b"[" * 200_000, b'{"a":' * 100_000, b" " * (MAX_TEXT + 1)],
        ids=["number", "lists", "tables", "length"],
    )
    def test_bytes_that_are_no_plan(self, data):
        with pytest.raises(PlanError):
            Plan.from_canonical(data)

    @pytest.mark.parametrize(
        "text",
        ["a = " + "[" * 5_000, "a = " + "9" * 5_000, "a" + ".a" * 5_000 + " = 1", "version = 0x" + "f" * 9_000],
        ids=["lists", "number", "dots", "hexadecimal"],
    )
    def test_toml_that_is_no_plan(self, text):
        with pytest.raises(PlanError):
            Plan.loads(text)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"parties": [{"name": f"l-{n}", "group": "lender", "nominal_records": 1} for n in range(1001)]}, "1000"),
            (
                {"training": {"rounds": 100_000, "sample_rate": 0.1, "algorithm": "fedavg", "local": {"steps": 10}}},
                "take",
            ),
        ],
        ids=["parties", "steps"],
    )
    def test_a_plan_that_asks_for_too_much(self, changes, said):
        with pytest.raises(PlanError, match=said):
            Plan.parse(BASE | changes)

    def test_of_many_problems_the_first_are_told(self):
        with pytest.raises(PlanError) as told:
            Plan.parse(BASE | {f"key {n}": 0 for n in range(5_000)})
        assert len(told.value.problems) == 51


class TestParts:
    """What each key allows by itself, and what they do not allow together: the line names the key."""

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"parties": [{"name": "server", "group": "lender", "nominal_records": 9}]}, "parties"),
            ({"privacy__max_parties_per_person": 6}, "privacy.max_parties_per_person"),
            ({"groups__video__min_parties": 3}, "groups.video.min_parties"),
            ({"groups__wallet__max_colluding": 1}, "groups.wallet.max_colluding"),
            ({"groups__video__max_colluding": 1}, "groups.video.min_parties"),
            ({"groups__lender__crosses": [["income", "age"]]}, "groups.lender.crosses"),
            ({"groups__lender__crosses": [["late", "late"]]}, "groups.lender.crosses"),
            ({"groups__lender__table__label": None}, "groups.lender.table.label"),
            ({"groups__wallet__table__label": "bad"}, "groups.wallet.table.label"),
            (
                {"evaluation__split": {"kind": "date", "first_test_day": "2019-07-01", "test_fraction": 0.2}},
                "groups.lender.table.date",
            ),
            (
                {
                    "evaluation__split": {"kind": "date", "first_test_day": "2019-07-01", "test_fraction": 0.2},
                    "groups__lender__table__date": "day",
                },
                "groups.video.table.date",
            ),
            ({"evaluation__groups": {"income": [3]}}, "evaluation.groups"),
            ({"evaluation__groups": {"age": []}}, "evaluation.groups.age"),
            ({"evaluation__groups": {"age": [40, 30]}}, "evaluation.groups.age"),
            ({"privacy__label_epsilon": None}, "privacy.label_epsilon"),
            ({"model__signal_levels": 32}, "model.signal_levels"),
            ({"privacy__shares": {"bins": 0.4, "signal": 0.3, "calibration": 0.3}}, "privacy.shares"),
            ({"training__local": {"steps": 2}}, "training"),
            ({"training__algorithm": "fedavg"}, "training"),
            ({"training__algorithm": "fedprox", "training__local": {"steps": 2}}, "training"),
        ],
    )
    def test_what_does_not_go_together_is_refused_with_its_key(self, changes: dict[str, Any], key: str):
        with pytest.raises(PlanError) as caught:
            vertical_plan(**changes)
        assert any(problem.startswith(key) for problem in caught.value.problems), caught.value.problems

    def test_of_all_cards_or_none(self):
        data = enrolled_plan().model_dump(mode="json")
        del data["parties"][0]["card"]
        with pytest.raises(PlanError, match="cards"):
            Plan.parse(data)

    def test_a_card_is_for_the_partys_role(self):
        data = enrolled_plan().model_dump(mode="json")
        lender = Identity.generate("video-1", "lender").card.text
        data["parties"] = [one | {"card": lender} if one["name"] == "video-1" else one for one in data["parties"]]
        with pytest.raises(PlanError, match="'video-1' is for a lender"):
            Plan.parse(data)

    def test_bands_of_one_platform_do_not_multiply_without_bound(self):
        data = vertical_plan().model_dump(mode="json")
        features = [{"name": f"f{n}", "lower": 0, "upper": 100, "protected": True} for n in range(2)]
        data["groups"]["wallet"]["table"]["features"] += features
        edges = [n / 3 for n in range(1, 258)]
        data["evaluation"]["groups"] = {"f0": edges, "f1": edges}
        with pytest.raises(PlanError, match="combinations"):
            Plan.parse(data)


class TestKeysThatCameLater:
    """A plan that does not use them has the hash that it had before they were there."""

    def test_they_are_not_in_the_canonical_form_of_a_plan_without_them(self):
        text = Plan.parse(BASE).canonical().decode()
        for name in ("table_cells", "overall_share", "level_names", "dictionary"):
            assert name not in text

    def test_a_plan_with_them_is_another_one_and_is_read_again(self):
        plain = Plan.parse(BASE)
        for changes in (
            {"evaluation.table_cells": 12},
            {"evaluation.overall_share": 0.5},
            {f"{_sex()}.level_names": ["female", "male"]},
        ):
            plan = Plan.parse(changed(changes))
            assert plan.hash != plain.hash
            assert Plan.from_canonical(plan.canonical()) == plan


def _sex() -> str:
    features = BASE["groups"]["lender"]["table"]["features"]
    return f"groups.lender.table.features.{next(i for i, f in enumerate(features) if f['name'] == 'sex')}"


class TestBandNames:
    def test_levels_have_the_names_that_the_schema_gives(self):
        plan = Plan.parse(changed({f"{_sex()}.level_names": ["female", "male"]}))
        levels = plan.bands("sex")
        assert plan.band_names("sex") == dict(zip(levels, ("female", "male", "missing"), strict=True))
        assert plan.bands("sex") == Plan.parse(BASE).bands("sex")

    def test_without_names_bands_are_called_by_their_keys(self):
        plan = Plan.parse(BASE)
        for name in ("sex", "age"):
            assert list(plan.band_names(name).items()) == [(key, key) for key in plan.bands(name)]

    @pytest.mark.parametrize("names", [["female"], ["same", "same"], ["a", "b", "c"], ["a", "b", "b"]])
    def test_there_is_one_distinct_name_for_each_level(self, names: list[str]):
        (line,) = refusal({f"{_sex()}.level_names": names})
        assert "level_names" in line
