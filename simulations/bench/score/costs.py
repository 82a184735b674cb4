"""What scoring costs by a release: one score, many, a token, a replay. CPU of this process, medians of turns."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from sealscore.clients.scoring.application import Application, feature_values
from sealscore.clients.scoring.replay import replay
from sealscore.clients.scoring.score_log import LogKeys, ScoreLog
from sealscore.clients.scoring.scorer import Scorer
from sealscore.clients.scoring.service import line_content
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.tokens import ConsentRequest, TokenMaker
from sealscore.clients.setup.config import TELL_LIMITS
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.dp.events import Disclosure
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import AdmitRelease, Approve, Ceilings, Disclose, Identify
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.serving.manifest import Manifest
from sealscore.shared.serving.release import CHAMPION, Release
from sealscore.shared.serving.serving_keys import ServingKeys, ServingPeer, month_of

ONE_BY_ONE, TOKENS, LINES, TURNS = 300, 200, 20_000, 5


def features_of(release: Release, records: Records, rows: range) -> list[dict[str, Any]]:
    """Applications' features as JSON has them, of records."""
    table = release.plan.groups[release.plan.lenders].table
    found = []
    for row in rows:
        given: dict[str, Any] = {}
        for feature in table.features:
            if feature.protected:
                continue
            value = float(records.columns[feature.name][row])
            if np.isnan(value):
                given[feature.name] = None
            else:
                given[feature.name] = feature.levels[int(value)] if feature.kind == "categorical" else value
        found.append(given)
    return found


def _levels(release: Release) -> dict[str, list[int]]:
    return {group: [place % 4] for place, group in enumerate(release.plan.platforms)}


def one(release: Release, records: Records) -> dict[str, float]:
    """CPU milliseconds from one applicant's features to PD, points and reasons, and of one row by numpy alone."""
    scorer, table = Scorer(release), release.plan.groups[release.plan.lenders].table
    given, levels = features_of(release, records, range(ONE_BY_ONE)), _levels(release)
    merged = {group: np.array([float(told[0])]) for group, told in levels.items()}

    def ours() -> None:
        for features in given:
            scorer.score(feature_values(features, table), levels)

    def by_numpy() -> None:
        for row in range(ONE_BY_ONE):
            columns = {name: values[row : row + 1] for name, values in records.columns.items()}
            scorer.answers(CHAMPION, scorer.bins(CHAMPION, columns, merged))

    cpu = _turns({"ours": ours, "numpy": by_numpy})
    one, rows = cpu["ours"] / ONE_BY_ONE * 1e3, cpu["numpy"] / ONE_BY_ONE * 1e3
    return {"one_ms": one, "one_by_numpy_ms": rows, "one_ratio": one / rows}


def many(release: Release, records: Records) -> dict[str, float]:
    """Rows a second of CPU, from columns to PD and points, and to the codes of reasons as well."""
    scorer, rows = Scorer(release), len(records)
    merged = {group: np.full(rows, float(told[0])) for group, told in _levels(release).items()}

    def figures() -> None:
        scorer.figures(CHAMPION, scorer.bins(CHAMPION, records.columns, merged))

    def reasons() -> None:
        bins = scorer.bins(CHAMPION, records.columns, merged)
        scorer.figures(CHAMPION, bins)
        scorer.reason_codes(CHAMPION, bins)

    cpu = _turns({"figures": figures, "reasons": reasons})
    return {"batch_rows_s": rows / cpu["figures"], "batch_with_reasons_rows_s": rows / cpu["reasons"]}


def token(release: Release, records: Mapping[str, Records], folder: Path) -> dict[str, float]:
    """CPU milliseconds of one token, charged and on the disk, at a platform with real keys."""
    plan = release.plan
    roles = {party.name: plan.groups[party.group].role for party in plan.parties}
    identities = {name: Identity.generate(name, role) for name, role in roles.items()}
    data = plan.model_dump(mode="json")
    data["server_card"] = Identity.generate(SERVER, "server").card.text
    data["parties"] = [party | {"card": identities[party["name"]].card.text} for party in data["parties"]]
    own = Plan.parse(data)
    group = plan.platforms[0]
    platform, lender = plan.members(group)[0].name, plan.members(plan.lenders)[0].name
    served = _under(release, own)
    ledger = _charged(folder / "ledger.db", identities[platform], served, group, lender)
    today = datetime.now(UTC).date()
    keys = ServingKeys.of(identities[lender], month_of(today), PlanKeys.secret())
    peer = ServingPeer.read(keys.certificate, identities[lender].card)
    store = ServingStore(folder / "serving.db")
    held = replace(records[platform], consent=None)
    maker = TokenMaker(identities[platform], ledger, store, served, held, {lender: peer})
    spent = []
    for person in held.person[:TOKENS]:
        asked = ConsentRequest(lender, person, "5e" * 32, "en", secrets.token_hex(8))
        before = time.process_time()
        made = maker.make(asked, today)
        spent.append(time.process_time() - before)
    store.close()
    ledger.close()
    return {"token_ms": median(spent) * 1e3, "token_bytes": float(len(made))}


def _under(release: Release, plan: Plan) -> Release:
    """The release with the same models under another plan's hash."""
    fields = release.manifest.model_dump(mode="json") | {"plan": plan.hash}
    return Release(Manifest.parse(fields), replace(release.content, plan=plan))


def _charged(path: Path, identity: Identity, release: Release, group: str, lender: str) -> Ledger:
    """A platform's ledger after training, in which the release is approved."""
    ceilings = Ceilings(epsilon=10.0, delta=1e-5, signal_bits=8)
    form = release.plan.alignment.identifier
    column = release.plan.groups[group].table.person_column
    ledger = Ledger.create(path, identity, "bench", ceilings, identified=Identify(column=column, form=form))
    plan, manifest = release.plan, release.manifest
    told = manifest.told[group]
    entries = (
        Approve(plan=plan.hash, text=plan.canonical().decode()),
        Disclose(
            plan=plan.hash,
            run="bench",
            phase=f"disclose_signal:{group}",
            round=1,
            attempt=1,
            peer=lender,
            event=Disclosure(bits=told.signal_bits, recipient=lender, count=1),
            what=told.meaning,
            persons=1000,
            fresh=1000,
            source="system",
        ),
        AdmitRelease(
            release=release.hash,
            plan=plan.hash,
            text=manifest.canonical(),
            limits={kind: TELL_LIMITS[kind] for kind in told.bits},
        ),
    )
    for entry in entries:
        ledger.append(lambda state, entry=entry: entry)  # type: ignore[misc]
    return ledger


def replays(release: Release, records: Records, folder: Path) -> dict[str, float]:
    """Lines a second of CPU: read, decrypted, computed again and compared, with the chain and its signatures."""
    scorer, levels, today = Scorer(release), _levels(release), datetime.now(UTC).date()
    told = [{"kind": group, "status": "used"} for group in levels]
    log = ScoreLog(LogKeys.fresh(), folder / "scores.db")
    given = features_of(release, records, range(min(LINES, len(records))))
    for start in range(0, len(given), 500):
        with log.commit() as batch:
            for place, features in enumerate(given[start : start + 500], start):
                asked = _application(release, records.person[place], place, features, today)
                scored = scorer.score(asked.values, levels)
                content = line_content(release, asked, scored, told, (), "bench", today, 1)
                batch.write(content, asked.id, asked.person, 1, asked.digest)
    spent = []
    for _ in range(TURNS):
        before = time.process_time()
        wrong = log.check()
        found = replay(log.lines(), {release.hash: release})
        spent.append(time.process_time() - before)
        if wrong or not found.good or found.same != len(given):
            raise RuntimeError("a replay differs")
    log.close()
    return {"replay_lines_s": len(given) / median(spent)}


def _application(release: Release, person: str, place: int, features: dict[str, Any], today: date) -> Application:
    plain = {"application_id": f"a{place}", "as_of": str(today), "person": person, "features": features}
    return Application.parse(plain | {"purpose": release.manifest.purpose_code}, release.plan, today)


def _turns(ways: Mapping[str, Callable[[], None]]) -> dict[str, float]:
    """CPU seconds of each, the median of turns that they take."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            before = time.process_time()
            way()
            spent[name].append(time.process_time() - before)
    return {name: median(times) for name, times in spent.items()}
