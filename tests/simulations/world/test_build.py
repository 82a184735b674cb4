"""What is written: the tables of the contract, the same bytes for the same seed, nothing half done."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from sealscore.simulations.world import build as build_module
from sealscore.simulations.world.build import MANIFEST, WorldFolderError, build, read_manifest, steps, whole_folder
from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.tables import OWN_NAMES, TABLES, kind_of, mapping, write_table

# The contract with those who compute features: tables and columns by kind of party.
CONTRACT = {
    "video": {
        "creators": "creator_id registered_at category region is_business",
        "videos": "video_id creator_id published_at duration_s views likes comments shares completion_rate",
        "comments": "comment_id video_id creator_id posted_at text",
        "followers": "creator_id as_of followers",
        "audience": "creator_id as_of top_region_share top_age_share active_fan_share",
        "orders": "order_id creator_id ordered_at channel amount currency refunded_at",
        "consents": "creator_id purpose recipient given_at expires withdrawn_at",
    },
    "wallet": {
        "accounts": "account_id creator_id opened_at region residence",
        "flows": "account_id month inflow outflow payers refunds balance_mean currency",
        "bills": "account_id due_at paid_at amount",
        "consents": "creator_id purpose recipient given_at expires withdrawn_at",
    },
    "lender": {
        "applications": "application_id creator_id product applied_at amount term_months currency declared_income age "
        "gender region",
        "bureau": "creator_id as_of score months_on_file open_accounts utilisation late_24m inquiries_6m",
        "repayments": "application_id due_at paid_at due_amount paid_amount",
        "identity": "application_id id_number name_on_id name_on_account id_issued id_expires licence_number "
        "licence_name licence_registered licence_expires licence_status",
        "decisions": "application_id decision decided_at",
        "outcomes": "application_id bad closed_at",
        "consents": "creator_id purpose recipient given_at expires withdrawn_at",
    },
}
PARTIES = ("video-1", "video-2", "wallet", "lender-1", "lender-2", "lender-3")
SMALL = WorldConfig.model_validate({"creators": 120, "lending": {"pd_rollouts": 4}})


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_tables_are_those_of_the_contract():
    assert {
        kind: {table: " ".join(columns) for table, columns in tables.items()} for kind, tables in TABLES.items()
    } == CONTRACT


@pytest.mark.parametrize("party", PARTIES)
def test_files_have_the_declared_types_and_rows(world: Path, party: str):
    manifest = read_manifest(world)["parties"]
    assert tuple(manifest) == PARTIES
    assert manifest[party]["kind"] == kind_of(party)
    tables = manifest[party]["tables"]
    assert set(tables) == set(TABLES[kind_of(party)])
    assert {path.stem for path in (world / party).iterdir()} == set(tables)
    for table, what in tables.items():
        frame = pl.read_parquet(world / party / f"{table}.parquet")
        own = {what["columns"][name]: dtype for name, dtype in TABLES[kind_of(party)][table].items()}
        assert dict(frame.schema) == own
        assert frame.height == what["rows"] > 0


def test_the_two_video_platforms_name_columns_each_in_its_own_way():
    first, second = (mapping(party, "videos") for party in OWN_NAMES)
    assert set(first) == set(second)
    assert sum(first[name] != second[name] for name in first) >= 7
    for party, tables in OWN_NAMES.items():
        for table, names in tables.items():
            assert set(names) <= set(TABLES["video"][table])
            assert len(set(mapping(party, table).values())) == len(mapping(party, table))


def test_a_table_that_was_not_declared_is_refused(tmp_path: Path):
    frame = pl.DataFrame({"application_id": ["A1"], "bad": [1], "pd": [0.3]})
    with pytest.raises(ValueError, match="lender-1/outcomes has columns"):
        write_table(tmp_path, "lender-1", "outcomes", frame)


def test_the_truth_is_at_no_party(world: Path):
    secret = {"quality", "stability", "leverage", "honesty", "pd", "bad_if_granted", "buys_traffic", "state", "cash"}
    for party in PARTIES:
        for path in (world / party).iterdir():
            assert not secret & set(pl.read_parquet_schema(path))


def test_the_same_seed_gives_the_same_bytes_and_another_other_ones(tmp_path: Path):
    for name, config in {"a": SMALL, "b": SMALL, "c": SMALL.model_copy(update={"seed": 1})}.items():
        build(config, tmp_path / name)
    first, again, other = (digests(tmp_path / name) for name in "abc")
    assert first == again
    assert set(first) == set(other)
    assert not [name for name in first if first[name] == other[name]]


def test_streams_are_apart(tmp_path: Path):
    """What comments are like moves no other table."""
    quiet = SMALL.comments.model_copy(update={"texts_per_creator": 5.0, "tone": -1.0})
    build(SMALL, tmp_path / "a")
    build(SMALL.model_copy(update={"comments": quiet}), tmp_path / "b")
    first, other = digests(tmp_path / "a"), digests(tmp_path / "b")
    changed = {name for name in first if first[name] != other[name]}
    assert changed == {"video-1/comments.parquet", "video-2/comments.parquet", MANIFEST}


def test_the_manifest_holds_the_config_that_makes_the_world_again(world: Path):
    manifest = read_manifest(world)
    assert WorldConfig.model_validate(manifest["config"]) == WorldConfig(creators=manifest["creators"])


def test_each_step_is_told(tmp_path: Path):
    told: list[str] = []
    build(SMALL, tmp_path / "w", told.append)
    assert len(told) == steps(SMALL) == len(set(told))


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(WorldFolderError, match="is not empty"):
        build(SMALL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_taken(tmp_path: Path):
    folder = tmp_path / "w"
    folder.mkdir()
    build(SMALL, folder)
    assert read_manifest(folder)["creators"] == 120


def test_a_folder_that_cannot_be_written_is_named_and_other_failures_are_not_laid_to_it(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorldFolderError), whole_folder(tmp_path / "file" / "w"):
        pass

    def full(folder: Path) -> None:
        with whole_folder(folder):
            raise OSError(errno.ENOSPC, "of another folder")

    with pytest.raises(OSError, match="of another folder"):
        full(tmp_path / "w")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_build_that_runs_out_of_space_names_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(build_module, "write_table", full)
    with pytest.raises(WorldFolderError, match="no space left"):
        build(SMALL, tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build_module, "draw_accounts", stop)
    with pytest.raises(KeyboardInterrupt):
        build(SMALL, tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "no such file"), ("{", "not valid JSON"), (json.dumps({"format": 99}), "format 99; this version reads 1")],
)
def test_a_folder_without_a_world_is_told(tmp_path: Path, text: str | None, said: str):
    if text is not None:
        (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(WorldFolderError, match=said):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"platforms": {"video_1": 0, "video_2": 0}},
        {"platforms": {"wallet": 0, "consent": 0}},
        {"lending": {"applicants": 0}},
        {"lending": {"lenders": [{"name": "bank"}], "pd_rollouts": 0, "again": 1}},
        {"bureau": {"thin_share": 1}, "fraud": {"traffic_share": 1, "identity_share": 1, "licence_share": 1}},
        {"bureau": {"thin_share": 0}, "fraud": {"traffic_share": 0, "identity_share": 0, "licence_share": 0}},
        {
            "calendar": {"vintages": 1, "keep_before_months": 1, "keep_after_months": 12},
            "latents": {"business_share": 0},
        },
        {"economy": {"shock_month": 42, "shock_size": 3}, "channel": {"videos_per_creator": 0.01}},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_worlds_at_the_edges_are_built(tmp_path: Path, changed: dict[str, object]):
    manifest = build(WorldConfig.model_validate({"creators": 100, **changed}), tmp_path / "w")
    for party, what in manifest["parties"].items():
        for table in what["tables"]:
            pl.read_parquet_schema(tmp_path / "w" / party / f"{table}.parquet")
