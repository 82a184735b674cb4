"""One person leaves a party's tables, or comes with many applications: nobody else's features may move.

Whatever is claimed of a person (sensitivities of histograms, the clip of a gradient) counts that person's own records.
Played with features that are row-local, and with a detector and checks that read other persons' rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from defences import Defences

from sealscore.clients.features import Sentiment, Settings, build_table
from sealscore.clients.features.dictionary.dictionary import ID, PERSON
from sealscore.clients.features.raw.raw import TABLES
from sealscore.simulations.world.build import build
from sealscore.simulations.world.config import load_config
from sealscore.simulations.world.party_features import KINDS, last_day, party_mapping

CELLS, APPLICATIONS = 128, 20
Tables = dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Path, dict]:
    """A world of a few thousand invented creators."""
    folder = tmp_path_factory.mktemp("neighbours") / "world"
    config = load_config("default", creators=3000, seed=5)
    config = config.model_copy(update={"lending": config.lending.model_copy(update={"pd_rollouts": 0})})
    return folder, build(config, folder)


@pytest.fixture(scope="module")
def sentiment() -> Sentiment:
    return Sentiment.shipped()


@pytest.fixture
def features(world, sentiment: Sentiment, tmp_path: Path):
    """The features of a party of the world whose tables are changed: features(party, change)."""
    folder, manifest = world
    count = iter(range(100))

    def built(party: str, change=lambda tables: tables) -> pl.DataFrame:
        here, kind = tmp_path / str(next(count)), KINDS[manifest["parties"][party]["kind"]]
        (here / "raw").mkdir(parents=True)
        tables = {name: pl.read_parquet(folder / party / f"{name}.parquet") for name in TABLES[kind]}
        for name, frame in change(tables).items():
            frame.write_parquet(here / "raw" / f"{name}.parquet")
        settings = Settings(mapping=party_mapping(manifest, party), labelled=False)
        return pl.read_parquet(
            build_table(here / "raw", kind, here / "out", last_day(manifest), settings, sentiment).table
        )

    return built


def without(person: str):
    """The tables without a creator."""

    def change(tables: Tables) -> Tables:
        return {
            name: frame.filter(pl.col(PERSON) != person) if PERSON in frame.columns else frame
            for name, frame in tables.items()
        }

    return change


def moved(before: pl.DataFrame, after: pl.DataFrame, key: str) -> dict[str, int]:
    """By column, how many rows that are in both tables are not the same."""
    both = before.join(after, on=key, suffix=" after")
    counts = {name: int(both[name].ne_missing(both[f"{name} after"]).sum()) for name in before.columns if name != key}
    return {name: count for name, count in counts.items() if count}


def histogram(table: pl.DataFrame, name: str) -> np.ndarray:
    cells = np.minimum((table[name].drop_nulls().to_numpy() * CELLS).astype(int), CELLS - 1)
    return np.bincount(cells, minlength=CELLS)


def test_a_creator_who_leaves_moves_no_other(features):
    defences = Defences()
    whole = features("video-2")
    scored = whole.drop_nulls("traffic_anomaly_180d")[PERSON]
    persons = [scored[at] for at in (10, len(scored) // 2, len(scored) - 10)]
    for person in persons:
        assert moved(whole, features("video-2", without(person)), PERSON) == {}

    with defences.without("row-local features"):
        whole = features("video-2")
        less = features("video-2", without(persons[0]))
        others = moved(whole, less, PERSON)
    # Nearly everybody's score moves, and the histogram of the others by far more than the 1 that is claimed of all.
    assert others["traffic_anomaly_180d"] > 0.9 * (len(scored) - 1)
    rest = whole.filter(pl.col(PERSON) != persons[0])
    name = "traffic_anomaly_180d"
    assert np.linalg.norm(histogram(rest, name) - histogram(less, name)) > 5


def planted(tables: Tables) -> tuple[Tables, str]:
    """A person who has filed 20 applications under the numbers of 20 others who come later; who that is."""
    filed, papers = tables["applications"], tables["identity"]
    latest = filed.sort("applied_at", ID).group_by(PERSON, maintain_order=True).last().sort("applied_at", ID)
    victims = latest.tail(APPLICATIONS)
    first = filed.filter(~pl.col(PERSON).is_in(victims[PERSON].to_list())).sort("applied_at", ID).head(1)
    own = papers.join(first.select(ID), on=ID, how="semi")
    used = papers.join(victims.select(ID), on=ID, how="semi")["id_number"].to_list()
    names = [pl.lit(f"planted-{at}").alias(ID) for at in range(APPLICATIONS)]
    more = {
        "applications": [first.with_columns(name) for name in names],
        "identity": [
            own.with_columns(name, id_number=pl.lit(number)) for name, number in zip(names, used, strict=True)
        ],
    }
    return tables | {name: pl.concat([tables[name], *frames]) for name, frames in more.items()}, first[PERSON].item()


def removed(tables: Tables, person: str) -> Tables:
    """A lender's tables without a person."""
    gone = tables["applications"].filter(pl.col(PERSON) == person)[ID].to_list()
    return {
        name: frame.filter(pl.col(PERSON) != person)
        if PERSON in frame.columns
        else frame.filter(~pl.col(ID).is_in(gone))
        for name, frame in tables.items()
    }


def borrowed(features) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lender's features with the planted person and without."""
    return features("lender-1", lambda t: planted(t)[0]), features("lender-1", lambda t: removed(*planted(t)))


def test_a_person_with_others_numbers_moves_no_other(features):
    with_person, without_person = borrowed(features)
    assert with_person.height - without_person.height > APPLICATIONS
    assert moved(with_person, without_person, ID) == {}

    with Defences().without("row-local features"):
        with_person, without_person = borrowed(features)
        others = moved(with_person, without_person, ID)
    # Twenty records of others change their cell where the person's one record may.
    assert others == {"identity_flags": APPLICATIONS}


def test_the_switch_is_thrown_back(features):
    """What is built after the block is row-local again."""
    first = features("video-1")
    with Defences().without("row-local features"):
        assert not features("video-1").equals(first)
    assert features("video-1").equals(first)
