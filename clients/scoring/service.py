"""A lender scores an application: opens its tokens, asks the scorer, logs, and only then answers.

What an answer says of each token is its status; a token that is not used is never a reason, and its values are not read
by any rule.
"""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

from sealscore.clients.scoring.application import Application, ApplicationError
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.scorer import NoModel, Scored, Scorer
from sealscore.clients.scoring.storage.batch import Batch
from sealscore.shared.crypto.sealing import SealError
from sealscore.shared.serving.manifest import Kind, Told
from sealscore.shared.serving.release import CHAMPION, Release
from sealscore.shared.serving.serving_keys import ServingKeys
from sealscore.shared.serving.token import Token, TokenError, claimed_release, open_token

VALID_DAYS = 30
# Bodies of one application beyond which asking again looks like looking for a better score.
SHOPPING = 3
# Odds double between two of them (see `score_model.points`).
_BANDS = (560, 580, 600, 620)


@dataclass(frozen=True)
class SeenToken:
    """A token of an application: `status` is `used` or why it is not; `token` where it could be opened."""

    status: str
    token: Token | None = None


@dataclass(frozen=True)
class OpenApplication:
    """A checked application and its tokens, opened: all that does not depend on what was answered before."""

    application: Application = field(repr=False)
    tokens: list[SeenToken] = field(repr=False)


class ScoreService:
    """Scores under the live release of one lender, whose answers go into the log.

    `keys` are the serving keys at hand, by month. `installed` are the hashes of all releases that this lender approved:
    a token under any of them is used where its tower is the live one's; `retraining` has the purpose of retraining of
    those that name one, under which levels are kept where the consent named it. What the `shadow` says is logged, and
    told to nobody.
    """

    def __init__(
        self,
        release: Release,
        keys: Iterable[ServingKeys],
        log: ScoreLog,
        installed: Iterable[str] = (),
        shadow: Release | None = None,
        retraining: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._release, self._log = release, log
        self._keys = {one.month: one for one in keys}
        self._installed = {release.hash, *installed}
        own = release.manifest.retraining_code
        self._retraining = {**retraining, **({release.hash: own} if own else {})}
        self._scorer = Scorer(release)
        self._shadow = None if shadow is None else Scorer(shadow)
        plan = release.plan
        members = [party for group in plan.platforms for party in plan.members(group)]
        self._group = {party.name: party.group for party in members}
        self._cards = {name: card for name, card in plan.cards.items() if name in self._group}

    def score(self, data: Any, caller: str, today: date) -> dict[str, Any]:
        """The answer to one application, as plain data; see `score_many`."""
        return self.score_many([data], caller, today)[0]

    def score_many(self, batch: Sequence[Any], caller: str, today: date) -> list[dict[str, Any]]:
        """The answers to applications, in their order; they are in the log, signed, when this returns.

        The same application with the same body gets the answer that it got; another body is a new version.

        Raises:
            ApplicationError: one of them cannot be scored; none of them was.
            NoModel: a model is missing for one of them.
            ScoreLogError: they cannot be logged; nothing was answered.
        """
        opened = self.open(batch, today)
        with self._log.commit() as log:
            return [self.answer(log, one, caller, today) for one in opened]

    def open(self, batch: Sequence[Any], today: date) -> list[OpenApplication]:
        """Check applications and open their tokens; nothing is read of the log.

        Raises:
            ApplicationError: one of them cannot be scored.
        """
        manifest = self._release.manifest
        if not manifest.issued <= today <= manifest.expires:
            what = f"the release is for {manifest.issued} to {manifest.expires}; use another, or set the clock"
            raise ApplicationError("release-expired", [what])
        applications = [Application.parse(data, self._release.plan, today) for data in batch]
        for application in applications:
            if application.purpose != manifest.purpose_code:
                what = f"purpose: is not that of the release, {manifest.purpose_code}"
                raise ApplicationError("purpose", [what])
        return [
            OpenApplication(application, [self._open(token, application) for token in application.tokens])
            for application in applications
        ]

    def answer(self, log: Batch, opened: OpenApplication, caller: str, today: date) -> dict[str, Any]:
        """The answer to one application, written into a batch of the log, whose commit must come before it leaves.

        Raises:
            ApplicationError, NoModel: it cannot be scored; nothing was written.
        """
        application, seen = opened.application, opened.tokens
        versions, same = log.answered(application.id, application.digest)
        if same is not None:
            content = log.content(same, application.person)
            if content is None:
                what = "this application was scored, and its record is locked or erased since; send a new one"
                raise ApplicationError("withdrawn", [what])
            return _answer(content)
        judged = [self._judged(log, application, one, today) for one in seen]
        _refuse_twins(judged)
        levels: dict[str, list[int]] = {}
        for one in judged:
            if one.status == "used" and one.token is not None:
                levels.setdefault(one.token.group, []).append(one.token.values["signal"])
        scored = self._scorer.score(application.values, levels)
        version = versions + 1
        content = self._content(application, judged, scored, caller, today, version)
        if self._shadow is not None:
            content["shadow"] = self._in_shadow(self._shadow, application, levels)
        # From here on nothing refuses: what is written of an application is written with its answer.
        for token in (one.token for one in judged if one.status == "used" and one.token is not None):
            last = token.expires.isoformat()
            log.use(token.handle, application.id, application.person, token.platform, last, today)
            if token.retraining and (purpose := self._retraining.get(token.release)):
                log.keep_level(token, application.person, purpose)
        log.write(content, application.id, application.person, version, application.digest)
        return _answer(content)

    def _in_shadow(
        self, scorer: Scorer, application: Application, levels: Mapping[str, Sequence[int]]
    ) -> dict[str, Any]:
        """What another release says of the same application: levels of the same towers only."""
        live, other = self._release.manifest.told, scorer.release.manifest.told
        fitting = {
            group: told
            for group, told in levels.items()
            if group in other and other[group].meaning == live[group].meaning
        }
        try:
            scored = scorer.score(application.values, fitting)
        except (NoModel, KeyError):
            # Another plan may need other columns; the live answer does not depend on it.
            return {"release": scorer.release.hash}
        return {"release": scorer.release.hash, "role": scored.role, "pd": scored.pd, "points": scored.points}

    def _open(self, data: bytes, application: Application) -> SeenToken:
        """A token, opened; nothing of this depends on what was seen before."""
        try:
            release, month = claimed_release(data)
            if release not in self._installed:
                return SeenToken("other-release")
            keys = self._keys.get(month)
            if keys is None:
                return SeenToken("expired")
            token = open_token(data, keys, release, self._cards)
        except (SealError, TokenError):
            return SeenToken("unreadable")
        group = self._group.get(token.platform)
        told = self._release.manifest.told.get(token.group)
        if group != token.group or told is None or told.meaning != token.meaning:
            return SeenToken("other-release")
        if not told.allows(token.values, self._release.plan.model.signal_levels):
            return SeenToken("unreadable")
        if token.purpose != application.purpose:
            return SeenToken("other-purpose")
        if not token.fits(application.person):
            return SeenToken("other-person")
        return SeenToken("used", token)

    def _judged(self, log: Batch, application: Application, seen: SeenToken, today: date) -> SeenToken:
        """The status by what is known: withdrawals, other applications, the day."""
        token = seen.token
        if token is None or seen.status != "used":
            return seen
        known = log.handle(token.handle)
        if known is not None and known.withdrawn is not None:
            return SeenToken("withdrawn", token)
        if not token.as_of <= today <= token.expires:
            return SeenToken("expired" if today > token.expires else "clock", token)
        if not log.free(known, application.id):
            return SeenToken("other-application", token)
        return seen

    def _content(
        self, application: Application, judged: list[SeenToken], scored: Scored, caller: str, today: date, version: int
    ) -> dict[str, Any]:
        ends = [one.token.expires for one in judged if one.token is not None and one.status == "used"]
        return line_content(self._release, application, scored, self._signals(judged), ends, caller, today, version)

    def _signals(self, judged: list[SeenToken]) -> list[dict[str, Any]]:
        """Each kind of platform with its status, and what its token tells beside the level."""
        found = []
        for one in judged:
            said: dict[str, Any] = {"status": one.status}
            if one.token is not None:
                said = {"kind": one.token.group, "platform": one.token.platform, **said}
                # Bands and flags are those of a release's own columns and edges; a level is its tower's.
                if one.status == "used" and one.token.release == self._release.hash:
                    told = self._release.manifest.told[one.token.group]
                    said["told"] = in_words(told, one.token.values)
            found.append(said)
        given = {said.get("kind") for said in found}
        return found + [
            {"kind": group, "status": "none"} for group in self._release.plan.platforms if group not in given
        ]


def line_content(
    release: Release,
    application: Application,
    scored: Scored,
    signals: list[dict[str, Any]],
    ends: Iterable[date],
    caller: str,
    today: date,
    version: int,
) -> dict[str, Any]:
    """All that a line of the log keeps: the inputs as bins and as checked values, the answer, and by whom and what.

    `signals` are what the answer says of its tokens, `ends` the last days of those that are used.
    """
    valid = min([today + timedelta(days=VALID_DAYS), release.manifest.expires, *ends])
    schema = release.plan.groups[release.plan.lenders].table
    own = {feature.name for feature in schema.features}
    values = {name: value for name, value in application.values.items() if name in own}
    return {
        "score_id": secrets.token_hex(16),
        "application_id": application.id,
        "version": version,
        "as_of": str(application.as_of),
        "product": application.product,
        "purpose": application.purpose,
        "caller": caller,
        "release": release.hash,
        "role": scored.role,
        "values": {name: None if value != value else value for name, value in values.items()},
        "bins": list(scored.bins),
        "logit": scored.logit.hex(),
        "pd": scored.pd,
        "points": scored.points,
        "band": band_of(scored.points),
        "cutoff": cutoff(release, scored.role),
        "reasons": list(scored.reasons),
        "signals": signals,
        "valid_until": str(valid),
    }


def cutoff(release: Release, role: str) -> int | None:
    """Points at which a model of a release approves the plan's share, where its tables gave any."""
    cutoffs = release.manifest.cutoffs
    if cutoffs is None:
        return None
    return cutoffs.champion if role == CHAMPION else cutoffs.fallback


def in_words(told: Told, values: Mapping[Kind, int]) -> dict[str, Any]:
    """What a token tells beside the level, as a lender's system reads it.

    Of a capacity the edges between which the amount lies (None beyond the outermost), or None where it is not known; a
    flag as it is; of reasons the names of the platform's features that lowered the level most.
    """
    found: dict[str, Any] = {}
    if told.capacity and "capacity" in values:
        edges, band = (None, *told.capacity.edges, None), values["capacity"]
        known = band <= len(told.capacity.edges)
        found["capacity"] = {"above": edges[band], "up_to": edges[band + 1]} if known else None
    if "flag" in values:
        found["flag"] = bool(values["flag"])
    if "reasons" in values:
        found["reasons"] = [told.reasons[place - 1] for place in divmod(values["reasons"], 16) if place]
    return found


def band_of(points: int) -> str:
    """A letter for points: A from 620 on, then B, C and D for every 20 less, and E below 560."""
    return "EDCBA"[bisect_right(_BANDS, points)]


def _refuse_twins(judged: list[SeenToken]) -> None:
    platforms = [one.token.platform for one in judged if one.token is not None and one.status == "used"]
    if len(set(platforms)) != len(platforms):
        raise ApplicationError("two-tokens", ["tokens: two are of one platform; send the newer one alone"])


def _answer(content: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a line to whoever asked for it."""
    names = ("score_id", "application_id", "version", "pd", "points", "band", "cutoff", "reasons", "signals")
    answer = {name: content[name] for name in (*names, "valid_until")}
    answer["model"] = {"release": content["release"], "role": content["role"]}
    if content["version"] >= SHOPPING:
        answer["alarm"] = "score-shopping"
    return answer
