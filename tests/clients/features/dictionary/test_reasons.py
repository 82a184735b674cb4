"""The dictionary says in both languages what lowered a score, and plans that name it get the sentences from it."""

from __future__ import annotations

import dataclasses

import pytest

from sealscore.clients.features.dictionary import dictionary, digest
from sealscore.clients.features.dictionary.dictionary import KINDS, entries, entry
from sealscore.clients.features.dictionary.reasons import dictionary_reasons
from sealscore.clients.features.dictionary.schema import table_schema
from sealscore.shared.model.bins import FeatureBins
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import CategoricalFeature, LevelReason, NumericFeature, Sentence
from sealscore.shared.serving.reason_texts import reason
from sealscore.simulations.data.scenario import Scenario, resolve

EVERY = [found for kind in KINDS for found in entries(kind)]
SCORED = [found for found in EVERY if not found.protected]
PLANS = ("creators_eps2", "creators_small")


@pytest.fixture(scope="module", params=PLANS)
def plan(request: pytest.FixtureRequest) -> Plan:
    return Scenario.load(resolve(request.param)).plan


def bins_of(feature: NumericFeature | CategoricalFeature) -> FeatureBins:
    """Bins of equal shares."""
    count = (len(feature.levels) if isinstance(feature, CategoricalFeature) else 2) + feature.missing
    edges = () if isinstance(feature, CategoricalFeature) else ((feature.lower + feature.upper) / 2,)
    return FeatureBins(feature, edges, (1 / count,) * count)


@pytest.mark.parametrize("found", SCORED, ids=lambda found: found.name)
def test_every_direction_has_a_sentence_in_both_languages(found):
    assert found.reason is not None
    given = {key for key, told in found.reason if told is not None}
    assert given == ({"level"} if found.levels else {"high", "low"}) | ({"missing"} if found.missing else set())
    told: list[Sentence] = [told for _, told in found.reason if told is not None]
    assert len({one.en for one in told}) == len({one.zh for one in told}) == len(told)
    for one in told:
        assert one.en.isascii()
        assert any("\u4e00" <= character <= "\u9fff" for character in one.zh)
        assert "_" not in one.en
    assert found.column.reason == found.reason


def test_protected_features_have_none():
    protected = [found for found in EVERY if found.protected]
    assert {found.name for found in protected} == {"age", "gender", "residence"}
    assert all(found.reason is None and not (found.high or found.low or found.level) for found in protected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_from_the_dictionary_says_what_the_dictionary_does(kind):
    schema = table_schema(kind)
    texts = dictionary_reasons(schema)
    assert texts == {feature.name: feature.reason for feature in schema.features if not feature.protected}


def test_a_plan_that_names_the_dictionary_gets_every_sentence_from_it(plan: Plan):
    for group in plan.groups.values():
        texts = dictionary_reasons(group.table)
        for feature in group.table.scored:
            part = bins_of(feature)
            for bin in range(part.size):
                told = reason(part, bin, texts)
                assert told is not None
                key = told.code.removeprefix(f"{feature.name}.")
                sentence = getattr(entry(feature.name).reason, key)
                assert (told.en, told.zh) == (sentence.en, sentence.zh)


def test_shipped_plans_hold_no_copy(plan: Plan):
    assert b'"reason"' not in plan.canonical()
    assert b'"proxy"' not in plan.canonical()


def test_another_releases_dictionary_or_none_gives_nothing(plan: Plan):
    table = plan.groups["lender"].table
    for named in (None, "0" * 64):
        assert dictionary_reasons(table.model_copy(update={"dictionary": named})) == {}


def test_the_digest_is_of_values_and_not_of_sentences(monkeypatch: pytest.MonkeyPatch):
    before = digest.dictionary_digest()
    found = dictionary.LENDER[0]
    said = ("Another sentence", "另一句话")
    for changes, same in (({"level": said}, True), ({"unit": "another"}, False)):
        monkeypatch.setattr(dictionary, "LENDER", (dataclasses.replace(found, **changes), *dictionary.LENDER[1:]))
        assert (digest.dictionary_digest.__wrapped__() == before) == same
        monkeypatch.undo()
    assert isinstance(dataclasses.replace(found, level=said).reason, LevelReason)
