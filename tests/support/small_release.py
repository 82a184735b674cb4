"""A release of the small vertical plan without a federation: invented weights, and the ledgers of parties that told
levels in training and approved it. For tests of what happens after training.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from ledgers import UNLIMITED, identified, identity_of
from vertical_builders import PARTIES, RUN, federation_of, people, quiet_plan

from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.service import ScoreService
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.clients.scoring.tokens import ConsentRequest, NoToken, TokenMaker
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.dp.events import Disclosure
from sealscore.shared.files import write_whole
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import AdmitRelease, Disclose, TellLimit
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.messages.parts import edges_to_bytes, weights_to_bytes
from sealscore.shared.model.bins import Binning, histogram
from sealscore.shared.model.build import coding_of
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.weights import TowerWeights, admissible
from sealscore.shared.persons.consent import Consent
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.serving.manifest import Manifest
from sealscore.shared.serving.release import Release, ReleaseContent, write_release
from sealscore.shared.serving.serving_keys import ServingKeys, ServingPeer, month_of
from sealscore.shared.serving.token import Token, claimed_release, open_token

TODAY = date(2030, 3, 10)
PURPOSE = "credit-decision"
MONITORING = "monitoring"
TEXT = "a" * 64
ALL_KINDS: dict[str, dict[str, Any]] = {
    "wallet": {
        "capacity": {"column": "inflow", "edges": [30.0, 45.0, 60.0]},
        "reasons": ["inflow", "refunds"],
    }
}


@cache
def small_plan() -> Plan:
    """The quiet vertical plan with the cards of everybody's simulated identities."""
    plan = quiet_plan()
    data = plan.model_dump(mode="json")
    data["server_card"] = Identity.simulated(plan.seed, SERVER, "server").card.text
    for party in data["parties"]:
        party["card"] = identity_of(plan, party["name"]).card.text
    return Plan.parse(data)


@cache
def everybody(party: str) -> Records:
    """A party's records."""
    return federation_of(small_plan(), 200)[party]


@cache
def agreed(party: str) -> Records:
    """The same with consents of everybody to each lender, for scoring and for being watched."""
    lenders = [one.name for one in small_plan().parties if one.name.startswith("lender")]
    cell = tuple(Consent(lender, purpose) for lender in lenders for purpose in (PURPOSE, MONITORING))
    return dataclasses.replace(everybody(party), consent=tuple(cell for _ in everybody(party).person))


def small_run(folder: Path, plan: Plan | None = None, seed: int = 0) -> Path:
    """What a run's folder has that a release is made of, with weights drawn from a seed."""
    plan = plan or small_plan()
    known = people(400)
    (folder / "plan.json").parent.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "plan.json", plan.canonical())
    random = np.random.default_rng(seed)
    signals: dict[str, np.ndarray] = {}
    for group in plan.platforms:
        binning, weights = _tower(plan, group, known, random)
        edges = np.linspace(-1.0, 1.0, plan.model.signal_levels - 1)
        parts = {
            "bins": binning.to_bytes(),
            "tower": weights_to_bytes(weights.vector),
            "edges": edges_to_bytes(edges),
        }
        (folder / "signals" / group).mkdir(parents=True)
        for name, body in parts.items():
            write_whole(folder / "signals" / group / name, body)
        levels = random.integers(0, plan.model.signal_levels, 400).astype(np.float64)
        signals[f"signal.{group}"] = np.where(random.random(400) < 0.3, np.nan, levels)
    columns = {**known, **signals}
    for name, tower in (("model", plan.lenders), ("fallback", None)):
        features = tower_features(plan, plan.lenders)
        if tower is None:
            features = tuple(one for one in features if not one.name.startswith("signal."))
        binning = _binning(plan, features, columns)
        width = coding_of(plan, plan.lenders, binning).width
        vector = admissible(random.normal(0, 0.5, TowerWeights.length(width, plan.model.hidden)))
        weights = TowerWeights(vector, width, plan.model.hidden)
        ScoreModel(features, binning, weights, Calibration(1.1, -0.2), {"plan": plan.hash}).save(folder / name)
    return folder


def _binning(plan: Plan, features: Any, columns: Mapping[str, np.ndarray]) -> Binning:
    cells = plan.model.grid_cells
    counts = histogram(columns, features, cells).astype(np.float64)
    return Binning.from_histogram(features, cells, plan.model.bins, counts)


def _tower(
    plan: Plan, group: str, columns: Mapping[str, np.ndarray], random: np.random.Generator
) -> tuple[Binning, TowerWeights]:
    binning = _binning(plan, tower_features(plan, group), columns)
    width = coding_of(plan, group, binning).width
    vector = admissible(random.uniform(-1.0, 1.0, TowerWeights.length(width, plan.model.hidden)))
    return binning, TowerWeights(vector, width, plan.model.hidden)


def small_folder(told: Mapping[str, Mapping[str, Any]] | None = None, **fields: Any) -> Path:
    """A release's folder in a place of its own; `told` is what kinds of platforms tell beside the level."""
    home = Path(mkdtemp(prefix="release-"))
    seed = int(fields.pop("seed", 0))
    run = small_run(home / "run", seed=seed)
    content = ReleaseContent.read(run)
    kinds: dict[str, dict[str, Any]] = {
        group: {
            "meaning": tower.meaning,
            "signal_bits": content.plan.model.signal_bits,
            **dict((told or {}).get(group, {})),
        }
        for group, tower in content.towers.items()
    }
    plain: dict[str, Any] = {
        "name": "small",
        "purpose_code": PURPOSE,
        "lenders": ["lender-1", "lender-2"],
        "issued": date(2030, 1, 1),
        "expires": date(2031, 1, 1),
        "told": kinds,
        **fields,
    }
    write_release(home / "release", content, run, plain)
    return home / "release"


@cache
def small_release(kinds: bool = False, **fields: Any) -> Release:
    """A release that was read whole; with `kinds` the wallet tells a capacity band and reasons, too."""
    return Release.load(small_folder(ALL_KINDS if kinds else None, **fields))


def crafted(release: Release, **fields: Any) -> Release:
    """A release of the same content with other fields in its manifest, as a server could make it."""
    data = release.manifest.model_dump(mode="json") | fields
    return Release(Manifest.parse(data), release.content)


LIMITS = {
    "signal": TellLimit(month=4, life=24),
    "capacity": TellLimit(month=3, life=36),
    "flag": TellLimit(month=1, life=12),
    "reasons": TellLimit(month=8, life=96),
    "watch": TellLimit(month=1, life=12),
}


def admit_entry(release: Release, party: str, limits: Mapping[str, TellLimit] = LIMITS) -> AdmitRelease:
    """The entry of an approval by a party."""
    group = release.plan.party(party).group
    told = release.manifest.told.get(group)
    kept = {} if told is None else {kind: limits[kind] for kind in told.bits}
    text = release.manifest.canonical()
    return AdmitRelease(release=release.hash, plan=release.plan.hash, text=text, limits=kept)


def trained_ledger(party: str, path: Path | None = None, *meanings: str) -> Ledger:
    """A ledger of a party under whose plan levels of these meanings were told to lender-1 in training."""
    plan = small_plan()
    who = identity_of(plan, party)
    ledger = Ledger.create(path, who, f"records of {party}", UNLIMITED, identified=identified(plan, party))
    approve(ledger, plan)
    group = plan.party(party).group
    for number, meaning in enumerate(meanings, start=1):
        entry = Disclose(
            plan=plan.hash,
            run=RUN,
            phase=f"disclose_signal:{group}",
            round=1,
            attempt=number,
            peer="lender-1",
            event=Disclosure(count=1, bits=plan.model.signal_bits, recipient="lender-1"),
            what=meaning,
            persons=10,
            fresh=10,
            source="seeded",
        )
        ledger.append(lambda state, entry=entry: entry)  # type: ignore[misc]
    return ledger


@dataclass
class Pair:
    """A platform and a lender after training: ledgers, store, log and keys; in memory where there is no folder."""

    release: Release
    platform: str = "wallet"
    lender: str = "lender-1"
    folder: Path | None = None
    day: date = TODAY

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / name

    @property
    def plan(self) -> Plan:
        """The plan of the release."""
        return self.release.plan

    @cached_property
    def ledger(self) -> Ledger:
        """The platform's, in which the release is approved."""
        path = self._path(f"{self.platform}.db")
        if path is not None and path.exists():
            return Ledger(path, self.identity())
        meaning = self.release.manifest.told[self.plan.party(self.platform).group].meaning
        ledger = trained_ledger(self.platform, path, meaning)
        ledger.append(lambda state: admit_entry(self.release, self.platform))
        return ledger

    @cached_property
    def lender_ledger(self) -> Ledger:
        """The lender's, in which the release is approved."""
        path = self._path(f"{self.lender}.db")
        if path is not None and path.exists():
            return Ledger(path, self.identity(self.lender))
        ledger = trained_ledger(self.lender, path)
        ledger.append(lambda state: admit_entry(self.release, self.lender))
        return ledger

    def identity(self, name: str = "") -> Identity:
        """Whose cards are in the plan; by default the platform's."""
        return identity_of(self.plan, name or self.platform)

    def close(self) -> None:
        """Close the files that were opened."""
        for name in ("ledger", "lender_ledger", "store", "log"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    @cached_property
    def store(self) -> ServingStore:
        """What the platform told for scoring."""
        return ServingStore(self._path("serving.db"))

    @cached_property
    def log(self) -> ScoreLog:
        """The lender's log."""
        return ScoreLog(LogKeys.of(b"k" * 96), self._path("scores.db"))

    def keys(self, day: date | None = None, lender: str = "") -> ServingKeys:
        """A lender's serving keys of a day's month, always the same."""
        return serving_keys(lender or self.lender, month_of(day or self.day))

    def peer(self, day: date | None = None, lender: str = "") -> ServingPeer:
        """The public half, as the platform reads it."""
        name = lender or self.lender
        return ServingPeer.read(self.keys(day, name).certificate, self.plan.cards[name])

    def maker(self, day: date | None = None, records: Records | None = None, **more: Any) -> TokenMaker:
        """The platform's maker of tokens on a day."""
        given: dict[str, Any] = {"release": self.release, "store": self.store, "ledger": self.ledger} | more
        peers = {name: self.peer(day, name) for name in self.release.manifest.lenders}
        return TokenMaker(
            self.identity(),
            given["ledger"],
            given["store"],
            given["release"],
            records or everybody(self.platform),
            peers,
            given.get("asking_consents", False),
        )

    def token(self, person: str, key: str = "k1", day: date | None = None, **asked: Any) -> bytes:
        """A token of a person."""
        return self.maker(day).make(request(person, key, **{"lender": self.lender, **asked}), day or self.day)

    def service(self, *days: date, **more: Any) -> ScoreService:
        """The lender's service with the keys of these days' months."""
        keys = [self.keys(day) for day in days or (self.day,)]
        return ScoreService(more.pop("release", self.release), keys, more.pop("log", self.log), **more)


@cache
def serving_keys(lender: str, month: str) -> ServingKeys:
    """A lender's serving keys of a month, the same in every process."""
    secret = hashlib.shake_256(f"{lender} {month}".encode()).digest(len(PlanKeys.secret()))
    return ServingKeys.of(identity_of(small_plan(), lender), month, secret)


def request(person: str, key: str = "k1", lender: str = "lender-1", **more: Any) -> ConsentRequest:
    """What a platform's back end asks for."""
    given: dict[str, Any] = {"text": TEXT, "language": "en"} | more
    return ConsentRequest(lender=lender, person=person, key=key, **given)


def application(person: str, *tokens: bytes, day: date = TODAY, **changes: Any) -> dict[str, Any]:
    """An application at a lender."""
    return {
        "application_id": f"app-{person}",
        "as_of": str(day),
        "person": person,
        "product": "starter",
        "purpose": PURPOSE,
        "features": {"income": 52.5, "late": 1},
        "tokens": [base64.urlsafe_b64encode(token).decode() for token in tokens],
        **changes,
    }


def known_at(platform: str = "wallet", count: int = 10) -> list[str]:
    """Persons whom a platform knows."""
    assert platform in PARTIES
    return list(everybody(platform).person[:count])


def content_of(pair: Pair, data: bytes, lender: str = "") -> Token:
    """What a token of a pair says."""
    release, month = claimed_release(data)
    return open_token(data, serving_keys(lender or pair.lender, month), release, pair.plan.cards)


def code_of(make: Callable[[], Any]) -> str:
    """The code with which a token is refused; fails where one is made."""
    try:
        make()
    except NoToken as error:
        return error.code
    raise AssertionError("a token was made")


def level_of(maker: TokenMaker, person: str) -> int:
    """The level of a person by a maker's tower and today's records."""
    return int(maker._tower.levels(maker.record(person))[0])


def bits_told(pair: Pair, kind: str | None = None) -> list[int]:
    """Bits of each row of what a platform told, of one kind or of all."""
    query = "SELECT bits FROM told WHERE kind = COALESCE(?, kind) ORDER BY seq"
    return [int(bits) for (bits,) in pair.store._database.execute(query, (kind,))]


def watched_release(worst: float = 0.5, quarters: int = 6, **fields: Any) -> Release:
    """A release of which the wallet tells the watch bit, too."""
    told = small_release(kinds=True).manifest.model_dump(mode="json")["told"]
    told["wallet"]["watch"] = {"worst": worst, "quarters": quarters}
    given = {"told": told, "monitoring_code": MONITORING, "expires": "2032-12-31", **fields}
    return crafted(small_release(kinds=True), **given)
