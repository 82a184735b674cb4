"""Worlds without some persons: every row of theirs is gone, in any writing, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from builders import small_scenario

from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.simulations.data.scenario import Scenario, resolve
from sealscore.simulations.neighbours.persons import halves, influential
from sealscore.simulations.neighbours.planted import ODD_ROWS, plant_odd_rows, plant_shared_numbers
from sealscore.simulations.neighbours.worlds import RawWorld, TableWorld, world_of
from sealscore.simulations.world.build import build
from sealscore.simulations.world.config import load_config

FORM = NORMAL_FORMS["creator-id"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> tuple[RawWorld, str, str, Path]:
    """A world with both planted persons, their names in normal form, and its folder."""
    folder = tmp_path_factory.mktemp("world") / "raw"
    build(load_config("default", creators=800), folder)
    sharing = plant_shared_numbers(folder)
    odd = plant_odd_rows(folder, sharing)
    return RawWorld(Scenario.load(resolve("creators_small")).plan, folder), FORM(sharing), FORM(odd), folder


def test_a_person_leaves_every_table(raw):
    world, sharing, odd, _ = raw
    rows, whole = world.raw_rows(), world.records()
    for person in (sharing, odd):
        less = world.records(frozenset({person}))
        for party, before in whole.items():
            own = sum(before.person[row] == person for row in range(len(before)))
            assert person not in less[party].person
            assert len(less[party]) == len(before) - own
            # Nothing was built again where the person has no row.
            there = any(counts[person] for table, counts in rows.items() if table.startswith(f"{party}/"))
            assert (less[party] is before) == (not there)


def test_rows_that_name_no_person_are_of_whose_application_they_are(raw):
    world, sharing, _, folder = raw
    rows = world.raw_rows()
    for lender in ("lender-1", "lender-2", "lender-3"):
        applications = pl.read_parquet(folder / lender / "applications.parquet")
        own = {
            row["application_id"] for row in applications.iter_rows(named=True) if FORM(row["creator_id"]) == sharing
        }
        repaid = pl.read_parquet(folder / lender / "repayments.parquet")["application_id"].is_in(list(own)).sum()
        assert rows[f"{lender}/repayments"][sharing] == repaid
        assert rows[f"{lender}/identity"][sharing] == len(own)


def test_planted_persons_share_numbers_and_repeat_keys(raw):
    world, sharing, odd, folder = raw
    shared = world.shared_numbers()
    assert max(counts[sharing] for column, counts in shared.items() if column.endswith("id_number")) >= 10
    assert world.raw_rows()["video-1/videos"][odd] >= 2 * ODD_ROWS
    videos = pl.read_parquet(folder / "video-1" / "videos.parquet")
    assert videos["photo_id"].is_duplicated().sum() >= ODD_ROWS
    chosen = influential(world, 5, {sharing: "a", odd: "b"})
    assert [candidate.person for candidate in chosen][:2] == [sharing, odd]
    assert len({candidate.person for candidate in chosen}) == 5


def test_halves_are_complements(raw):
    world, *_ = raw
    first, second, third, _ = halves(world, 2)
    everybody = {person for part in world.records().values() for person in part.person}
    assert first | second == everybody
    assert not first & second
    assert abs(len(first) - len(second)) < len(everybody) / 4
    assert first != third


def test_tables_of_features_and_identifiers_in_many_writings(tmp_path: Path):
    """In the vertical synthetic set each party writes persons in its own way."""
    scenario = Scenario.load(resolve("synthetic_vertical_eps2")).replace(
        simulation__creators=600, alignment__min_overlap=10
    )
    with world_of(scenario) as world:
        assert isinstance(world, TableWorld)
        whole, rows = world.records(), world.raw_rows()
        person = max(rows["lender-1"], key=lambda person: sum(counts[person] for counts in rows.values()))
        less = world.records(frozenset({person}))
        for party, before in whole.items():
            assert len(less[party]) == len(before) - min(1, rows[party][person])
            assert person not in less[party].person
        assert sum(counts[person] > 0 for counts in rows.values()) == 5
        assert world.shared_numbers() == {}


def test_small_scenarios_are_watched_from_their_tables(tmp_path: Path):
    with world_of(Scenario.load(small_scenario(tmp_path))) as world:
        assert isinstance(world, TableWorld)
        assert sum(len(part) for part in world.records().values()) == 1500
