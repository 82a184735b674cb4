"""The factors behind a level: those of the tower, of this person alone, in words, and for nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from platform_desk import Desk
from small_release import Pair, everybody, known_at, small_plan

from sealscore.clients.features.dictionary.dictionary import entries
from sealscore.clients.features.dictionary.digest import dictionary_digest
from sealscore.clients.features.dictionary.reasons import dictionary_names, dictionary_reasons
from sealscore.clients.platform_api.factors import LevelFactors
from sealscore.clients.scoring.tokens import NoToken
from sealscore.shared.model.bins import FeatureBins
from sealscore.shared.model.reasons import contributions
from sealscore.shared.plan.schema import CategoricalFeature, LevelReason, Sentence
from sealscore.shared.serving.reason_texts import raised_of, reasons_of


def features_of(factors: list[dict[str, str]]) -> list[str]:
    return [one["code"].rpartition(".")[0] for one in factors]


def test_they_are_what_moves_the_tower_most(desk: Desk, pair: Pair):
    records, tower = everybody("wallet"), pair.release.content.towers["wallet"]
    moved = contributions(tower.model, tower.model.binning.quantize(records.columns))
    names = [feature.name for feature in tower.model.features]
    both = 0
    for row, person in enumerate(records.person):
        found = desk.do(lambda person=person: desk.of.factors(pair.release.hash, person))
        for key, sign in (("lowered", 1), ("raised", -1)):
            by = sign * moved[row]
            wanted = [names[place] for place in np.argsort(-by, kind="stable") if by[place] > 0.01]
            assert features_of(found[key])[: len(wanted)] == wanted
            assert all(by[names.index(name)] > 0 for name in features_of(found[key]))
        both += bool(found["lowered"]) and bool(found["raised"])
    assert both > 10


def test_they_are_sentences_in_two_languages_without_a_number(desk: Desk, pair: Pair):
    for person in known_at():
        found = desk.do(lambda person=person: desk.of.factors(pair.release.hash, person))
        assert set(found) == {"lowered", "raised"}
        for one in (*found["lowered"], *found["raised"]):
            assert set(one) == {"code", "en", "zh"}
            assert not any(letter.isdigit() for letter in "".join(one.values()))
            assert all(letter >= "一" for letter in one["zh"][-2:])


def test_nobody_elses_record_moves_them_and_nothing_is_charged(desk: Desk, pair: Pair):
    person = known_at()[0]
    before = desk.do(lambda: (desk.of.factors(pair.release.hash, person), pair.ledger.head.seq, pair.store.head))
    records = everybody("wallet")
    row = records.person.index(person)
    columns = {name: np.roll(values, 7) for name, values in records.columns.items()}
    for name, values in columns.items():
        values[row] = records.columns[name][row]
    desk.records = lambda: dataclasses.replace(records, columns=columns)
    desk.version += 1
    assert desk.of.look(desk.worker)
    assert before == desk.do(
        lambda: (desk.of.factors(pair.release.hash, person), pair.ledger.head.seq, pair.store.head)
    )


def test_who_consents_to_nothing_sees_them_too_and_who_is_unknown_has_none(desk: Desk, pair: Pair):
    records = everybody("wallet")
    desk.records = lambda: dataclasses.replace(records, consent=tuple(() for _ in records.person))
    desk.version += 1
    desk.of.look(desk.worker)
    assert desk.do(lambda: desk.of.factors(pair.release.hash, known_at()[0]))["lowered"] is not None
    for release, person, code in (
        (pair.release.hash, "secret-stranger", "no-record"),
        (pair.release.hash, "", "person"),
        ("0" * 64, known_at()[0], "release"),
    ):
        with pytest.raises(NoToken) as error:
            desk.do(lambda release=release, person=person: desk.of.factors(release, person))
        assert error.value.code == code
        assert "secret" not in str(error.value)


def test_protected_features_and_proxies_are_never_named(pair: Pair):
    tower = pair.release.content.towers["wallet"]
    records = everybody("wallet")
    named = {
        name
        for row in range(50)
        for factors in LevelFactors(small_plan(), tower).of(columns_of(records.columns, row)).values()
        for name in features_of(factors)
    }
    assert "inflow" in named
    model = tower.model
    parts = tuple(
        dataclasses.replace(part, feature=part.feature.model_copy(update={"proxy": part.feature.name == "inflow"}))
        for part in model.binning.features
    )
    binning = dataclasses.replace(model.binning, features=parts)
    changed = type(model)([part.feature for part in parts], binning, model.weights, model.calibration, {})
    hidden = dataclasses.replace(tower, model=changed)
    factors = LevelFactors(small_plan(), hidden)
    for row in range(50):
        found = factors.of(columns_of(records.columns, row))
        assert "inflow" not in features_of(found["lowered"]) + features_of(found["raised"])


def columns_of(columns: dict[str, np.ndarray], row: int) -> dict[str, np.ndarray]:
    return {name: values[row : row + 1] for name, values in columns.items()}


def test_a_level_that_raised_the_score_is_not_said_to_lower_it():
    said = LevelReason(level=Sentence(en="It lowers", zh="拉低"), missing=Sentence(en="Not known", zh="不详"))
    feature = CategoricalFeature(name="sector", levels=("a", "b"), missing=True, reason=said)
    part = FeatureBins(feature, (), (0.5, 0.4, 0.1))
    lowered, raised = reasons_of(part), raised_of(part, names={"sector": ("Line of business", "类目")})
    assert [one.code for one in lowered if one] == ["sector.level", "sector.level", "sector.missing"]
    assert [one.code for one in raised if one] == ["sector.raised", "sector.raised", "sector.missing"]
    assert raised[2] == lowered[2]
    assert "Line of business" in raised[0].en
    assert "类目" in raised[0].zh
    assert "sector" in raised_of(part)[0].en


def test_the_dictionary_has_a_name_for_each_of_its_features():
    for kind in ("short-video", "wallet", "lender"):
        features = tuple(one.column for one in entries(kind))
        table = (
            small_plan()
            .groups["wallet"]
            .table.model_copy(update={"dictionary": dictionary_digest(), "features": features})
        )
        names = dictionary_names(table)
        assert names.keys() == {feature.name for feature in features}
        assert names.keys() >= dictionary_reasons(table).keys()
        assert all(en and zh for en, zh in names.values())
