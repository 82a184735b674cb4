"""The months of a life: consents, tokens, scores, decisions, reviews, loans and repayments, day by day."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from sealscore.clients.scoring.tokens import NoToken
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.serving.manifest import Kind
from sealscore.simulations.life.config import FIRST_MONTH, LifeConfig
from sealscore.simulations.life.events.warnings import LIST_DAY, WarningDesk
from sealscore.simulations.life.events.withdrawals import Withdrawing, pass_on
from sealscore.simulations.life.features import LifeFeatures
from sealscore.simulations.life.market import LoanPath, Market
from sealscore.simulations.life.parties.lenders import LifeLender
from sealscore.simulations.life.parties.platforms import LifePlatform
from sealscore.simulations.life.parties.retraining import Retrained
from sealscore.simulations.life.rows import CEILING, TOKEN, WITHDRAWN, WITHHELD, Played, Row
from sealscore.simulations.world.people.latent import stream, top_share
from sealscore.simulations.world.people.repayment import NEVER, PERIOD_DAYS

_DAY = timedelta(days=1)
_MOST_INPUT = 100_000_000


class Life:
    """One life: everybody in it, and what happened so far."""

    def __init__(
        self,
        config: LifeConfig,
        market: Market,
        features: LifeFeatures,
        lenders: Sequence[LifeLender],
        platforms: Mapping[str, LifePlatform],
        folder: Path,
        retrain: Callable[[Played, date], Retrained],
    ) -> None:
        self.played = Played()
        self._config, self._market, self._features = config, market, features
        self._lenders, self._platforms, self._retrain = lenders, platforms, retrain
        form = NORMAL_FORMS[lenders[0].release.plan.alignment.identifier]
        self._form = form
        self._desks = [WarningDesk(lender, form, folder) for lender in lenders]
        self._withdrawals = {
            name: Withdrawing(
                platform, config.consents.withdraws, stream(market.agents.config, f"withdrawals of the life {name}")
            )
            for name, platform in platforms.items()
        }
        agents, filed = market.agents, market.filed
        frauds = agents.frauds
        self.fraud = (frauds.buys_traffic | frauds.false_identity | frauds.false_licence)[filed.who]
        self._buyer = frauds.buys_traffic[filed.who]
        self._consent = self._drawn_consents()
        self._watch: Counter[str] = Counter()
        self._chance = stream(agents.config, "offers taken").random(len(filed))
        self._closing: defaultdict[date, list[tuple[int, str]]] = defaultdict(list)
        self._rows: dict[int, Row] = {}
        self._decided: dict[int, Row] = {}
        self._points: dict[int, int] = {}
        self._places = {name: at for at, name in enumerate(features.ids)}

    def play(self, tell: Callable[[str], None]) -> Played:
        """Live all months, and the days until nobody waits for a review."""
        filed, day = self._market.filed, FIRST_MONTH
        days = filed.applied.astype("datetime64[D]").astype(object)
        of_day: defaultdict[date, list[int]] = defaultdict(list)
        of_month: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for at, applied in enumerate(days):
            of_day[applied].append(at)
            of_month[applied.year, applied.month].append(at)
        end = _months_after(FIRST_MONTH, self._config.months)
        while day < end or any(lender.waits for lender in self._lenders):
            if day.day == 1:
                month = (day.year - FIRST_MONTH.year) * 12 + day.month - FIRST_MONTH.month
                if day < end:
                    tell(f"month {month + 1} of {self._config.months}")
                if self._config.retrains and month == self._config.retraining.month:
                    self._new_release(day, tell)
                peers = {lender.name: lender.begin_month(day) for lender in self._lenders}
                for platform in self._platforms.values():
                    platform.begin_month(np.array(of_month[day.year, day.month], dtype=np.int64), peers)
                for one in self._withdrawals.values():
                    one.begin_month()
                self._tell_bits(day)
            self._consents_end(day)
            self._reviews(day)
            self._close(day)
            if of_day[day]:
                self._apply(of_day[day], day)
            if day.day == LIST_DAY:
                for desk in self._desks:
                    listed, bits = desk.listed(day)
                    self.played.warnings += listed
                    self.played.bits += bits
            self.played.last = day
            day += _DAY
        self.played.watch = dict(self._watch)
        return self.played

    def _new_release(self, today: date, tell: Callable[[str], None]) -> None:
        """Train again on what is known by now; from this month on everybody uses what comes of it."""
        tell("training again on the loans whose outcome is known")
        found = self._retrain(self.played, today)
        for lender in self._lenders:
            lender.use(found.release)
        for platform in self._platforms.values():
            platform.use(found.release)
        self.played.retraining = found.plain(today)

    def _tell_bits(self, today: date) -> None:
        for platform in self._platforms.values():
            told = platform.tell_bits(today)
            for name in ("told", "ended", "kept_back", "absent"):
                self._watch[name] += getattr(told, name)

    def _consents_end(self, today: date) -> None:
        """Who withdraws today, and the day's batches; of who withdrew, lenders ask for the score once more."""
        gone = [row for one in self._withdrawals.values() for row in one.of_day(today)]
        self._watch["batches"] += pass_on(self._platforms, self._lenders, today)
        for row in gone:
            row["status"] = self._asked_again(row, today)
            lender = self._lenders[[one.name for one in self._lenders].index(row["lender"])]
            self._desks[lender.place].withdrawn(row["application_id"])
        self.played.withdrawals += gone

    def _asked_again(self, row: Row, today: date) -> str:
        """What a lender's scorer says of a token that was withdrawn, brought once more with its application."""
        at, name = self._places[row["application_id"]], row["platform"]
        lender = next(one for one in self._lenders if one.name == row["lender"])
        token = self._platforms[name].given(lender.name, row["application_id"])
        answer = lender.score_again(self._scored(at, lender, [token], today), today)
        return next(str(said["status"]) for said in answer["signals"] if said.get("platform") in (name, None))

    def _scored(self, at: int, lender: LifeLender, tokens: list[str], today: date) -> Row:
        """What a lender's system sends for a score."""
        return {
            "application_id": self._features.ids[at],
            "as_of": str(today),
            "person": self._features.persons[at],
            "product": str(self._market.filed.product[at]),
            "purpose": lender.release.manifest.purpose_code,
            "features": self._features.given(at),
            "tokens": tokens,
        }

    def _apply(self, places: list[int], today: date) -> None:
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for at in places:
            chosen = self._market.lender(at)
            self._market.keep_future(at, chosen)
            groups[chosen].append(at)
        for place in sorted(groups):
            lender = self._lenders[place]
            asked = [self._asked(at, lender, today) for at in groups[place]]
            for at, body, answer in zip(groups[place], asked, lender.decide(asked, groups[place], today), strict=True):
                self._answered(at, lender, body, answer, today)

    def _asked(self, at: int, lender: LifeLender, today: date) -> Row:
        filed, features = self._market.filed, self._features
        tokens, told_capacity = [], False
        row: Row = {"application_id": features.ids[at], "lender": lender.name, "applied_at": today}
        for name, platform in self._platforms.items():
            if platform.rows[at] < 0:
                row[name] = "unknown"
                continue
            person = self._form(features.persons[at])
            if self._withdrawals[name].has(person):
                row[name] = WITHDRAWN
                continue
            kinds = self._consent[name].get(at)
            if kinds is None:
                row[name] = WITHHELD
                continue
            if self._away(name, today):
                row[name] = "away"
                continue
            try:
                asked = (lender.name, features.persons[at], features.ids[at])
                tokens.append(platform.token(*asked, kinds, bool(self._retrains[name][at]), today))
                row[name] = TOKEN
                told_capacity |= "capacity" in kinds
                self._withdrawals[name].told(person, lender.name, features.ids[at])
            except NoToken as refused:
                # A platform that refuses for any other reason is at fault, and the life with it.
                if refused.code != CEILING:
                    raise
                row[name] = CEILING
        row["watched"] = any(self._begin_watch(at, name, row, lender, today) for name in self._platforms)
        amount = max(500, round(float(filed.amount[at])))
        product = str(filed.product[at])
        self._rows[at] = row | {"product": product, "amount": amount, "term_months": int(filed.term[at])}
        return self._scored(at, lender, tokens, today) | {
            "amount": amount,
            "term_months": int(filed.term[at]),
            "inputs": self._inputs(at, lender, product, told_capacity),
        }

    def _begin_watch(self, at: int, name: str, row: Row, lender: LifeLender, today: date) -> bool:
        """Whether somebody who has a token agrees to be watched: asked of all alike, whatever becomes of the loan."""
        platform = self._platforms[name]
        if row[name] != TOKEN or not platform.watches or not self._watched[at]:
            return False
        asked = (lender.name, self._features.persons[at], self._features.ids[at])
        try:
            platform.begin_watch(*asked, self._config.watch.quarters, today)
        except NoToken as refused:
            if refused.code not in (CEILING, "release-expired"):
                raise
            self._watch["refused"] += 1
            return False
        self._watch["begun"] += 1
        return True

    def _inputs(self, at: int, lender: LifeLender, product: str, told_capacity: bool) -> Row:
        """What a lender knows beside the score. Who lets the wallet tell the capacity is asked for no other proof."""
        flags = sum(
            0.0 if math.isnan(value) else value
            for value in (self._features.value(name, at) for name in ("identity_flags", "licence_flags"))
        )
        if product == "invoices":
            return {"invoice": min(_MOST_INPUT, round(self._market.turnover(at), 2)), "paper_flags": flags}
        debt = round(min(_MOST_INPUT, self._market.known_debt(at, lender.place)), 2)
        income = None if told_capacity else min(_MOST_INPUT, float(self._market.filed.declared_income[at]))
        return {"income": income, "debt_service": debt, "paper_flags": flags}

    def _answered(self, at: int, lender: LifeLender, body: Row, answer: Row, today: date) -> None:
        features, score = self._features, answer["score"]
        identity = {"application_id": features.ids[at], "lender": lender.name}
        hits = [rule["id"] for rule in answer["rules"] if rule["hit"]]
        line = lender.log.find(answer["score_id"])
        signals = ((line.content if line else None) or {})["signals"]
        told = [said.get("told") or {} for said in signals]
        capacity = [one["capacity"] for one in told if one.get("capacity")]
        self.played.applications.append(self._rows.pop(at))
        self.played.scores.append(
            {
                **identity,
                "day": today,
                "role": score["role"],
                "pd": score["pd"],
                "points": score["points"],
                "levels": sum(said["status"] == "used" for said in signals),
                "capacity_above": capacity[0]["above"] if capacity else None,
                "flag": any(one.get("flag") for one in told),
            }
        )
        self._points[at] = int(score["points"])
        row = {
            **identity,
            "day": today,
            "proposal": answer["proposal"],
            "queue": answer["queue"],
            "limit": answer["limit"],
            "offered": int(answer["amount"]),
            "hits": hits,
            "decided_at": today,
            "approved": answer["state"] == "approved",
            "amount": int(answer["amount"]) if answer["state"] == "approved" else 0,
        }
        self._decided[at] = row
        self.played.decisions.append(row)
        self._known_to_nobody(at, lender, body, answer, identity)
        if row["approved"]:
            self._offer(at, lender, answer["decision_id"], row["amount"], today)

    def _known_to_nobody(self, at: int, lender: LifeLender, body: Row, answer: Row, identity: Row) -> None:
        market, path = self._market, self._market.path(at, lender.place, float(body["amount"]))
        who = market.filed.who[at]
        row = {
            **identity,
            "bad_if_granted": path.bad,
            "loss_if_granted": _loss(path, float(body["amount"]), int(body["term_months"])),
            "owed": market.owed(at),
            "income": market.income(at),
            "instalment": path.instalment,
            "fraud": bool(self.fraud[at]),
            "buys_traffic": bool(self._buyer[at]),
            "thin_file": bool(market.agents.creators.thin_file[who]),
            "declared_income": float(market.filed.declared_income[at]),
        }
        self.played.oracle.append(row)

    def _reviews(self, today: date) -> None:
        for lender in self._lenders:
            for verdict, decision in lender.review(today, self.fraud):
                row = self._decided[verdict.at]
                row |= {"decided_at": today, "approved": verdict.amount > 0, "amount": verdict.amount}
                if verdict.amount:
                    self._offer(verdict.at, lender, decision, verdict.amount, today)

    def _offer(self, at: int, lender: LifeLender, decision: str, amount: int, today: date) -> None:
        """An applicant takes what is offered, or not; a loan starts, and its path is known to the world alone."""
        filed, knobs = self._market.filed, self._config.reviewers
        asked = max(500, round(float(filed.amount[at])))
        if self._chance[at] >= (knobs.takes if amount >= asked else knobs.counter):
            return
        loan = f"L-{self._features.ids[at]}"
        path = self._market.path(at, lender.place, float(amount))
        lender.book.start(loan, decision, amount, today)
        self._market.grant(at, lender.place, path.instalment)
        term, applied = int(filed.term[at]), filed.applied[at].astype(object)
        closed = applied + timedelta(days=PERIOD_DAYS * _last_period(path, term) + 5)
        self._closing[max(closed, today + _DAY)].append((lender.place, loan))
        self.played.loans.append(
            {
                "application_id": self._features.ids[at],
                "lender": lender.name,
                "product": str(filed.product[at]),
                "applied_at": applied,
                "started_at": today,
                "principal": amount,
                "term_months": term,
                "instalment": path.instalment,
                "bad": path.bad,
                "loss": _loss(path, float(amount), term),
            }
        )
        for number in range(term):
            period = int(path.paid_in[number])
            paid = None if period == NEVER else applied + timedelta(days=PERIOD_DAYS * period)
            due_at = applied + timedelta(days=PERIOD_DAYS * (number + 1))
            ids = (self._features.ids[at], self._features.persons[at])
            self._desks[lender.place].due(*ids, due_at, paid, self._points[at])
            self.played.repayments.append(
                {
                    "application_id": self._features.ids[at],
                    "number": number + 1,
                    "due_at": due_at,
                    "due": path.instalment,
                    "paid_at": paid,
                }
            )

    def _close(self, today: date) -> None:
        for place, loan in self._closing.pop(today, []):
            self._lenders[place].book.close(loan, today)

    def _away(self, party: str, today: date) -> bool:
        away = self._config.away
        since = _months_after(FIRST_MONTH, away.month)
        return party == away.party and since <= today < since + timedelta(days=away.days)

    def _drawn_consents(self) -> Mapping[str, dict[int, frozenset[Kind]]]:
        """Which kinds each application's consent to a platform names; none where it is withheld."""
        knobs, agents, filed = self._config.consents, self._market.agents, self._market.filed
        also = stream(agents.config, "further consents of the life").random((1 + len(self._platforms), len(filed)))
        self._watched = also[0] < knobs.watch
        self._retrains = dict(zip(self._platforms, also[1:] < knobs.retraining, strict=True))
        worst = top_share(-agents.creators.honesty, knobs.worst)[filed.who]
        found: dict[str, dict[int, frozenset[Kind]]] = {}
        for name, platform in self._platforms.items():
            random = stream(agents.config, f"consents of the life {name}").random((2, len(filed)))
            share = knobs.given - knobs.withheld * worst
            more = {"capacity": np.full(len(filed), knobs.capacity)}
            more["flag"] = knobs.flag * np.where(self._buyer, knobs.buyers, 1.0)
            found[name] = {}
            for at in np.flatnonzero((platform.rows >= 0) & (random[0] < share)).tolist():
                named: set[Kind] = {"signal"}
                named |= {kind for kind in platform.kinds if kind in more and random[1, at] < more[kind][at]}
                found[name][at] = frozenset(named)
        return found


def _last_period(path: LoanPath, term: int) -> int:
    """The period after which a loan is over: when its last instalment is paid, or when it is written off."""
    paid = path.paid_in[:term]
    if (paid == NEVER).any():
        return int(np.argmax(paid == NEVER)) + 1 + 3
    return int(paid.max())


def _loss(path: LoanPath, principal: float, term: int) -> float:
    """What of the principal is not paid back, instalments counted in full against it; 0 where all of it is."""
    paid = int((path.paid_in[:term] != NEVER).sum())
    return round(max(0.0, principal - paid * path.instalment), 2)


def _months_after(day: date, months: int) -> date:
    count = day.year * 12 + day.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)
