"""Sentences of a release: under its hash and no plan's, told in answers, refused where nobody could be told them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from small_release import small_run

from sealscore.clients.scoring.scorer import Scorer
from sealscore.server.releases.making import Wanted, make_release
from sealscore.shared.plan.schema import NumericReason, Sentence
from sealscore.shared.plan.toml import load_toml
from sealscore.shared.serving.manifest import MANIFEST
from sealscore.shared.serving.parcel import check_parcel, pack
from sealscore.shared.serving.release import Release, ReleaseContent, ReleaseError, write_release
from sealscore.shared.serving.sentences import (
    SENTENCES,
    SentencesError,
    checked_sentences,
    read_sentences,
    with_others,
    written_sentences,
)
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.experiments.job import released

HIGH = {"en": "You were late often", "zh": "您经常逾期"}
GIVEN: dict[str, Any] = {"late": {"high": HIGH, "missing": {"en": "No record of lateness", "zh": "无逾期记录"}}}


def made(tmp_path: Path, sentences: Any) -> Path:
    """A release of a run with these sentences."""
    run = small_run(tmp_path / "run")
    content = ReleaseContent.read(run)
    told = {g: {"meaning": tower.meaning, "signal_bits": 3} for g, tower in content.towers.items()}
    table = content.plan.groups[content.plan.lenders].table
    content = dataclasses.replace(content, sentences=checked_sentences(sentences, table))
    fields = {"name": "small", "purpose_code": "credit-decision", "lenders": ["lender-1"], "told": told}
    write_release(tmp_path / "release", content, run, fields | {"issued": "2030-01-01", "expires": "2031-01-01"})
    return tmp_path / "release"


def test_sentences_of_a_release_are_told_and_change_nothing_that_is_computed(tmp_path: Path):
    (tmp_path / "b").mkdir()
    folder, plain = made(tmp_path, GIVEN), Release.load(made(tmp_path / "b", {}))
    release = Release.load(folder)
    assert release.plan.hash == plain.plan.hash
    assert release.hash != plain.hash
    assert SENTENCES not in plain.manifest.files
    check_parcel(pack(folder, release))
    values, levels = {"income": 90.0, "late": 12.0}, {group: [0] for group in release.plan.platforms}
    found = 0
    for late in (0.0, 12.0, float("nan")):
        told, other = (Scorer(one).score(values | {"late": late}, levels) for one in (release, plain))
        assert (told.bins, told.logit, told.pd) == (other.bins, other.logit, other.pd)
        assert [one["code"] for one in told.reasons] == [one["code"] for one in other.reasons]
        said = {one["code"]: (one["en"], one["zh"]) for one in told.reasons}
        for code, key in (("late.high", "high"), ("late.missing", "missing")):
            if code in said:
                found += 1
                assert said[code] == (GIVEN["late"][key]["en"], GIVEN["late"][key]["zh"])
    assert found


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"nobody": {"high": HIGH}}, "nobody"),
        ({"age": {"high": HIGH}}, "age"),  # protected: enters no score
        ({"late": {"high": {"en": "one\nmore", "zh": "x"}}}, "late"),
        ({"late": {"high": {"en": "x" * 201, "zh": "x"}}}, "late"),
        ({"late": {"high": {"en": "no Chinese"}}}, "late"),
        ({"late": {"level": HIGH}}, "late"),
        ({"late": {}}, "late"),
        ({"income": {"missing": HIGH}}, "income"),  # cannot be missing
    ],
)
def test_what_nobody_could_be_told_is_refused(tmp_path: Path, given: dict[str, Any], named: str):
    table = ReleaseContent.read(small_run(tmp_path)).plan.groups["lender"].table
    with pytest.raises(SentencesError, match=named):
        checked_sentences(given, table)


def test_a_proxy_and_a_feature_with_its_own_have_none(tmp_path: Path):
    plan = ReleaseContent.read(small_run(tmp_path)).plan
    for change in ({"proxy": True}, {"reason": {"high": HIGH}}):
        data = plan.groups["lender"].table.model_dump(mode="json")
        data["features"][1] |= change
        table = type(plan.groups["lender"].table).model_validate(data)
        with pytest.raises(SentencesError, match="late"):
            checked_sentences(GIVEN, table)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"late": 3}', b"[" * 100_000])
def test_a_file_that_holds_none_is_refused(tmp_path: Path, content: bytes):
    folder = made(tmp_path, GIVEN)
    with pytest.raises(SentencesError):
        read_sentences(content, Release.load(folder).plan.groups["lender"].table)
    (folder / SENTENCES).write_bytes(content)
    with pytest.raises(ReleaseError):
        Release.load(folder)


def test_a_file_that_no_manifest_names_is_refused(tmp_path: Path):
    folder = made(tmp_path, {})
    assert SENTENCES not in (folder / MANIFEST).read_text("utf-8")
    (folder / SENTENCES).write_bytes(written_sentences({}))
    with pytest.raises(ReleaseError):
        Release.load(folder)


def test_others_stand_where_a_release_says_nothing():
    one, two = Sentence(en="one", zh="一"), Sentence(en="two", zh="二")
    others = {"a": NumericReason(high=two, low=two), "b": NumericReason(low=two)}
    found = with_others({"a": NumericReason(high=one), "c": NumericReason(high=one)}, others)
    assert found == {
        "a": NumericReason(high=one, low=two),
        "b": NumericReason(low=two),
        "c": NumericReason(high=one),
    }


def test_the_server_refuses_them_before_anything_is_written(tmp_path: Path):
    run = small_run(tmp_path / "run")
    (run / "run.json").write_text("{}", "utf-8")
    wanted = released(ReleaseContent.read(run).plan)
    for sentences, good in (({"nobody": {"high": HIGH}}, False), (GIVEN, True)):
        asked: Wanted = dataclasses.replace(wanted, sentences=sentences)
        if good:
            make_release(run, tmp_path / "release", asked)
            assert Release.load(tmp_path / "release").content.sentences.keys() == {"late"}
        else:
            with pytest.raises(ReleaseError, match="nobody"):
                make_release(run, tmp_path / "release", asked)
            assert not (tmp_path / "release").exists()


@pytest.mark.parametrize("path", sorted(PLANS.glob("uci*.toml")), ids=lambda path: path.stem)
def test_every_feature_of_lenders_in_the_uci_plans_has_sentences(path: Path):
    scenario = Scenario.load(path)
    table = scenario.plan.groups[scenario.plan.lenders].table
    given = released(scenario.plan, scenario.settings.dataset).sentences
    assert given is not None
    found = checked_sentences(given, table)
    for feature in table.scored:
        reason = found[feature.name]
        for side in ("high", "low"):
            assert getattr(reason, side) is not None
        assert (reason.missing is not None) == feature.missing


def test_no_packaged_sentence_is_there_for_nothing():
    plans = [Scenario.load(path).plan for path in PLANS.glob("uci*.toml")]
    known = {feature.name for plan in plans for feature in plan.groups[plan.lenders].table.scored}
    assert load_toml(PLANS.parent / "sentences" / "uci.toml").keys() == known
