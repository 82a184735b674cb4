"""A release's folder: one byte altered, one file too many or too few, and it is not used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small_release import ALL_KINDS, PURPOSE, small_folder, small_plan, small_run

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.golden import GoldenError, check_golden, golden
from sealscore.shared.serving.manifest import Manifest
from sealscore.shared.serving.release import Release, ReleaseContent, ReleaseError, write_release


@pytest.fixture(scope="module")
def made() -> Path:
    return small_folder(ALL_KINDS)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "release"))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_release_is_read_as_it_was_written(folder: Path):
    release = Release.load(folder)
    assert release.hash == Manifest.load(folder / "release.toml").hash
    assert set(release.manifest.files) == set(files(folder)) - {"release.toml"}
    assert set(release.content.models) == {"champion", "fallback", "tower of video", "tower of wallet"}


def test_each_file_altered_is_found(folder: Path):
    for name in files(folder):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before[:-2] + bytes([before[-2] ^ 1]) + before[-1:])
        with pytest.raises((ReleaseError, PlanError)):
            Release.load(folder)
        (folder / name).write_bytes(before)
    Release.load(folder)


def test_each_file_missing_is_found(folder: Path):
    for name in files(folder):
        before = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises((ReleaseError, PlanError)):
            Release.load(folder)
        (folder / name).write_bytes(before)
    Release.load(folder)


@pytest.mark.parametrize("name", ["notes.txt", "model/release.toml", "signals/wallet/extra", "fallback/.hidden"])
def test_a_file_too_many_is_found(folder: Path, name: str):
    (folder / name).write_bytes(b"x")
    with pytest.raises(ReleaseError, match="is no file of the release"):
        Release.load(folder)


def test_a_link_in_the_place_of_a_file_is_read_as_the_file_or_refused(folder: Path):
    (folder / "model" / "elsewhere").symlink_to(folder / "nowhere")
    with pytest.raises(ReleaseError):
        Release.load(folder)


def _golden(release: Release) -> dict:
    found: dict = json.loads(golden(release.content.models, release.plan.hash))
    return found


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: one["bins"][0].__setitem__(0, (one["bins"][0][0] + 1) % 2),
        lambda one: one["logits"].__setitem__(0, (0.125).hex()),
        lambda one: one["pd"].__setitem__(0, (0.125).hex()),
        lambda one: one["pd"].__setitem__(0, "nan"),
        lambda one: one["pd"].__setitem__(0, "0x1p99999"),
        lambda one: one["pd"].pop(),
        lambda one: one["columns"].pop(next(iter(one["columns"]))),
        lambda one: one.update(columns={name: [] for name in one["columns"]}, bins=[], logits=[], pd=[]),
        lambda one: one.update(columns=dict.fromkeys(one["columns"])),
        lambda one: one.update(columns=7),
        lambda one: one.update(logits={}),
    ],
)
def test_golden_vectors_that_do_not_hold_are_refused(made: Path, spoil):
    release = Release.load(made)
    for name in release.content.models:
        found = _golden(release)
        spoil(found[name])
        with pytest.raises(GoldenError):
            check_golden(json.dumps(found), release.content.models)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000, '{"champion": 1}'])
def test_text_without_golden_vectors_is_refused(made: Path, text: str):
    with pytest.raises(GoldenError):
        check_golden(text, Release.load(made).content.models)


def test_golden_vectors_of_a_release_with_a_model_less_are_refused(made: Path):
    release = Release.load(made)
    found = _golden(release)
    del found["fallback"]
    with pytest.raises(GoldenError):
        check_golden(json.dumps(found), release.content.models)


@pytest.mark.parametrize(
    ("told", "fields", "what"),
    [
        ({"wallet": {"capacity": {"column": "region", "edges": [0.5]}}}, {}, "numeric"),
        ({"wallet": {"capacity": {"column": "nothing", "edges": [0.5]}}}, {}, "numeric"),
        ({"wallet": {"flag": {"column": "inflow", "above": 1.0}}}, {}, "enters the score"),
        # The edges of five levels cut between a fifth and four.
        ({"wallet": {"watch": {"worst": 0.1, "quarters": 4}}}, {"monitoring_code": "monitoring"}, "watch.worst"),
        ({"wallet": {"watch": {"worst": 0.9, "quarters": 4}}}, {"monitoring_code": "monitoring"}, "watch.worst"),
        ({"wallet": {"reasons": ["views"]}}, {}, "no feature of its tower"),
        ({"wallet": {"meaning": "0" * 64}}, {}, "another tower"),
        ({"wallet": {"signal_bits": 2}}, {}, "levels have"),
        ({}, {"lenders": ["lender-1", "stranger"]}, "no lender"),
        ({}, {"lenders": ["wallet"]}, "no lender"),
        ({}, {"purpose_code": small_plan().purpose_code}, "training"),
    ],
)
def test_what_contradicts_the_plan_is_not_written(told, fields, what):
    with pytest.raises(ReleaseError, match=what):
        small_folder(told, **fields)


def test_a_protected_column_is_told_in_no_band(tmp_path: Path):
    plan = small_plan()
    data = plan.model_dump(mode="json")
    for feature in data["groups"]["wallet"]["table"]["features"]:
        if feature["name"] == "refunds":
            feature["protected"] = True
    protected = type(plan).parse(data)
    run = small_run(tmp_path / "run", protected)
    content = ReleaseContent.read(run)
    told = {group: {"meaning": tower.meaning, "signal_bits": 3} for group, tower in content.towers.items()}
    told["wallet"]["capacity"] = {"column": "refunds", "edges": [2.0]}
    fields = {
        "name": "r",
        "purpose_code": PURPOSE,
        "lenders": ["lender-1"],
        "issued": "2030-01-01",
        "expires": "2031-01-01",
    }
    with pytest.raises(ReleaseError, match="protected"):
        write_release(tmp_path / "release", content, run, fields | {"told": told})


def test_a_folder_that_holds_something_is_not_written_into(made: Path):
    content = ReleaseContent.read(made)
    with pytest.raises(ReleaseError, match="not empty"):
        write_release(made, content, made, {})
