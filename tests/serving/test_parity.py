"""The creator world: applicants scored one by one, by tokens and applications, get the simulation's own bits."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from creator_scenarios import quick_creators

from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.scorer import Scorer
from sealscore.clients.scoring.service import ScoreService
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.clients.scoring.tokens import ConsentRequest, TokenMaker
from sealscore.clients.setup.config import TELL_LIMITS
from sealscore.server.releases.making import make_release
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import AdmitRelease
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.serving_keys import ServingKeys, ServingPeer, month_of
from sealscore.shared.serving.signal_tower import SignalTower
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import Federation, load_parties
from sealscore.simulations.experiments.job import released

pytestmark = pytest.mark.slow

LENDER, APPLICANTS = "lender-1", 1000
TODAY = datetime.now(UTC).date()


@dataclass
class World:
    """A carried-out plan of the creator world, its release, and makers of tokens for one lender."""

    folder: Path
    release: Release
    records: dict[str, Records]
    scored: Records
    told: dict[str, dict[str, int]]
    makers: dict[str, TokenMaker]
    service: ScoreService

    def features(self, row: int) -> dict[str, object]:
        """The features of a row of the lender as JSON has them."""
        table, columns = self.release.plan.groups["lender"].table, self.records[LENDER].columns
        given: dict[str, object] = {}
        for feature in table.features:
            value = float(columns[feature.name][row])
            if feature.protected or np.isnan(value):
                continue
            given[feature.name] = feature.levels[int(value)] if feature.kind == "categorical" else value
        return given

    def token(self, platform: str, person: str) -> bytes:
        """A token of a person for the lender."""
        return self.makers[platform].make(ConsentRequest(LENDER, person, "5e" * 32, "zh", f"of {person}"), TODAY)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    scenario = Scenario.load(quick_creators(folder))
    records = load_parties(scenario)
    federation = Federation.of(scenario.plan, records, None, folder / "ledgers")
    federation.run(folder / "run")
    make_release(folder / "run", folder / "release", released(federation.plan))
    release = Release.load(folder / "release")
    plan = release.plan
    identities = {
        party.name: Identity.simulated(plan.seed, party.name, plan.groups[party.group].role) for party in plan.parties
    }
    keys = ServingKeys.of(identities[LENDER], month_of(TODAY), PlanKeys.secret())
    peers = {LENDER: ServingPeer.read(keys.certificate, identities[LENDER].card)}
    makers, opened = {}, []
    for group in plan.platforms:
        for party in plan.members(group):
            ledger = Ledger(folder / "ledgers" / f"{party.name}.db", identities[party.name])
            limits = {kind: TELL_LIMITS[kind] for kind in release.manifest.told[group].bits}
            text = release.manifest.canonical()
            entry = AdmitRelease(release=release.hash, plan=plan.hash, text=text, limits=limits)
            ledger.append(lambda state, entry=entry: entry)
            store = ServingStore(folder / f"{party.name}.db")
            opened += [ledger, store]
            held = dataclasses.replace(records[party.name], consent=None)
            makers[party.name] = TokenMaker(identities[party.name], ledger, store, release, held, peers)
    log = ScoreLog(LogKeys.fresh(), folder / "scores.db")
    role = federation.nodes[LENDER].role
    told = {name: dict(levels) for name, levels in role._levels.items()}
    scored = next(found for found in federation.scored_records() if found.ids == records[LENDER].ids)
    yield World(folder, release, records, scored, told, makers, ScoreService(release, [keys], log))
    for one in (*opened, log):
        one.close()


def test_a_thousand_applicants_one_by_one_are_the_simulation_bit_for_bit(world: World):
    from base64 import urlsafe_b64encode

    scorer, lender = Scorer(world.release), world.records[LENDER]
    rows = np.random.default_rng(5).permutation(len(lender))[:APPLICANTS]
    pds = world.release.content.model.pd(world.scored.columns)
    logits = world.release.content.model.logits(world.scored.columns)
    signals = 0
    for start in range(0, APPLICANTS, 100):
        asked = []
        for row in rows[start : start + 100].tolist():
            person = lender.person[row]
            platforms = [name for name, levels in world.told.items() if person in levels]
            tokens = [urlsafe_b64encode(world.token(name, person)).decode() for name in platforms]
            signals += len(tokens)
            asked.append(
                {
                    "application_id": lender.ids[row],
                    "as_of": str(TODAY),
                    "person": person,
                    "purpose": "credit-decision",
                    "features": world.features(row),
                    "tokens": tokens,
                }
            )
        for answer, given, row in zip(
            world.service.score_many(asked, "test", TODAY), asked, rows[start : start + 100].tolist(), strict=True
        ):
            assert [said["status"] for said in answer["signals"] if "platform" in said] == ["used"] * len(
                given["tokens"]
            )
            if answer["model"]["role"] == "champion":
                assert answer["pd"] == round(float(pds[row]), 6)
                line = world.service._log.find(answer["score_id"])
                assert line.content["logit"] == float(logits[row]).hex()
            # The batch way gives the same as the single one.
            kept = world.service._log.find(answer["score_id"]).content
            again = scorer.answers(kept["role"], np.array([kept["bins"]], dtype=np.int16))[0]
            assert (again.pd, again.points, list(again.reasons)) == (answer["pd"], answer["points"], answer["reasons"])
    assert signals > APPLICANTS / 2


def test_tokens_tell_the_levels_of_training(world: World):
    checked = 0
    for platform, levels in world.told.items():
        for person, level in list(levels.items())[:200]:
            maker = world.makers[platform]
            assert maker._tower.levels(maker.record(person)).tolist() == [level]
            checked += 1
    assert checked >= 200


def test_a_late_event_moves_nothing_that_was_told(world: World):
    platform = next(iter(world.makers))
    person = next(iter(world.told[platform]))
    first = world.token(platform, person)
    maker = world.makers[platform]
    tower: SignalTower = maker._tower
    (before,) = tower.levels(maker.record(person))
    # The channel is another one now: the month's level stays, under another key and for the same lender.
    changed = {name: np.roll(values, 7) for name, values in maker._records.columns.items()}
    late = dataclasses.replace(maker._records, columns=changed)
    moved = TokenMaker(maker._identity, maker._ledger, maker._store, world.release, late, dict(maker.peers))
    again = moved.make(ConsentRequest(LENDER, person, "5e" * 32, "zh", "another key"), TODAY)
    assert len(again) == len(first)
    with maker._store.transaction() as store:
        kept = store.told(person, "signal", f"{tower.meaning}|{month_of(TODAY)}")
        assert kept == before
        assert store.bits(person, "signal") == 4


def test_features_of_another_dictionary_make_no_token(world: World, monkeypatch: pytest.MonkeyPatch):
    from sealscore.clients.data import DataError
    from sealscore.clients.features.dictionary import row_local

    plan = world.release.plan
    row_local.check_row_local(plan, "video-1", declared=True)
    monkeypatch.setattr(row_local, "dictionary_digest", lambda: "0" * 64)
    with pytest.raises(DataError, match="dictionary"):
        row_local.check_row_local(plan, "video-1", declared=True)


def test_the_release_of_a_simulation_has_the_hash_of_what_it_holds(world: World):
    assert json.loads((world.folder / "release" / "plan.json").read_text()) == json.loads(
        world.release.plan.canonical()
    )
    assert world.release.manifest.cutoffs is not None
