"""What scoring costs by a release: one score, many, a token, a replay. CPU of this process, medians of turns."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from sealscore.clients.scoring.application import Application, feature_values
from sealscore.clients.scoring.replay import replay, replayed_part
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.scorer import Scorer
from sealscore.clients.scoring.service import line_content
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.clients.scoring.tokens import ConsentRequest
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.release import CHAMPION, Release
from sealscore.simulations.bench.score.platform import TrainedPlatform

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
    with TrainedPlatform(release, records, folder) as platform:
        maker, spent = platform.maker(), []
        for person in platform.records.person[:TOKENS]:
            asked = ConsentRequest(platform.lender, person, "5e" * 32, "en", secrets.token_hex(8))
            before = time.process_time()
            made = maker.make(asked, platform.today)
            spent.append(time.process_time() - before)
    return {"token_ms": median(spent) * 1e3, "token_bytes": float(len(made))}


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
        found = replay(log.lines(read=replayed_part), {release.hash: release})
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
