"""From the lines of the log to frames. What is erased, or locked by a withdrawal, is counted and not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from sealscore.clients.decision.loans import LOAN
from sealscore.clients.decision.reviews import DISPUTE, REVIEW
from sealscore.clients.decision.service import KIND
from sealscore.clients.scoring.score_log import ScoreLine
from sealscore.clients.watch.frames import DECISIONS, LOANS, REPAYMENTS, REVIEWS, SCORES, WatchBook
from sealscore.clients.watch.months import month_number

Row = dict[str, Any]


@dataclass
class WatchReader:
    """Takes the lines of a log in order, as `ScoreLog.lines(locked=False)` gives them; `book` is what they come to.

    `groups` has the group of applications by their id. Of who has lines of loans that cannot be read, `unread_lines`
    counts them by what stands for the person, and `unread_loans` has the loans that later lines name again.
    """

    release: str
    groups: Mapping[str, str] = field(default_factory=dict)
    unread_lines: Counter[bytes] = field(default_factory=Counter)
    unread_loans: set[str] = field(default_factory=set)
    erased: int = 0
    withdrawn: int = 0
    _signals: dict[str, bool] = field(default_factory=dict)
    _scores: dict[tuple[str, int], Row] = field(default_factory=dict)
    _decisions: dict[tuple[str, int], Row] = field(default_factory=dict)
    _by_id: dict[str, tuple[Row, Mapping[str, Any]]] = field(default_factory=dict)
    _disputed: dict[str, str] = field(default_factory=dict)
    _reviews: list[Row] = field(default_factory=list)
    _loans: dict[str, Row] = field(default_factory=dict)

    def read(self, lines: Iterable[ScoreLine]) -> None:
        """The next lines."""
        for line in lines:
            if line.content is None:
                self.erased += bool(line.erased)
                self.withdrawn += not line.erased
                self.unread_lines[line.person] += line.kind == LOAN
            elif line.kind == "score":
                self._score(line.content, line.at)
            elif line.kind == KIND:
                self._decision(line.content)
            elif line.kind == DISPUTE:
                self._disputed[line.content["decision_id"]] = line.content["day"]
            elif line.kind == REVIEW:
                self._review(line.content)
            elif line.kind == LOAN:
                self._loan(line.content, line.person)

    def left_out(self, open_loans: Mapping[bytes, tuple[bytes, int]]) -> tuple[set[str], int]:
        """The loans that are known to have unread lines, and how many others may have some.

        `open_loans` has the person of each loan that is open (`Register.loans`). A loan that is not has two lines or
        more, that of its start and that of its end.
        """
        still = {
            (person, loan.hex())
            for loan, (person, _) in open_loans.items()
            if self.unread_lines[person] and loan.hex() not in self._loans
        }
        named = Counter(person for person, _ in still)
        others = sum(
            (lines - named[person]) // 2 for person, lines in self.unread_lines.items() if lines > named[person]
        )
        return self.unread_loans | {loan for _, loan in still}, others

    def book(self, repayments: pl.DataFrame | None = None) -> WatchBook:
        """All that was read, with the rows of a table of repayments."""
        rows = pl.DataFrame(schema=REPAYMENTS) if repayments is None else repayments
        return WatchBook(
            pl.DataFrame([*self._scores.values()], schema=SCORES),
            pl.DataFrame([*self._decisions.values()], schema=DECISIONS),
            pl.DataFrame(self._reviews, schema=REVIEWS),
            pl.DataFrame([*self._loans.values()], schema=LOANS),
            rows,
            self.erased,
            self.withdrawn,
        )

    def _score(self, content: Mapping[str, Any], at: str) -> None:
        if content["release"] != self.release:
            return
        self._signals[content["score_id"]] = any(signal["status"] == "used" for signal in content["signals"])
        # Not by as_of, which the caller chooses: one that is wrong would move the first month of all.
        month, application = month_number(at), content["application_id"]
        row = {name: content[name] for name in ("role", "points", "bins")}
        self._scores[application, month] = {"application": application, "month": month, **row}

    def _decision(self, content: Mapping[str, Any]) -> None:
        signal = self._signals.get(content["score_id"])
        if signal is None:
            return
        month, application = month_number(content["day"]), content["application_id"]
        row = {
            "decision": content["decision_id"],
            "month": month,
            "role": content["role"],
            "points": content["scored"]["points"],
            "signal": signal,
            "offered": content["state"] == "approved",
            "waited": content["state"] == "waiting",
            "group": self.groups.get(application),
            "settled": None if content["state"] == "waiting" else month,
        }
        self._decisions[application, month] = row
        self._by_id[content["decision_id"]] = row, content

    def _review(self, content: Mapping[str, Any]) -> None:
        row, decided = self._by_id.get(content["decision_id"], (None, None))
        if row is None or decided is None:
            return
        if row["settled"] is None:
            row["settled"] = month_number(content["day"])
            row["offered"] = content["outcome"] == "approve" or content.get("stands") is not None
        objected = self._disputed.get(content["decision_id"])
        since, due = date.fromisoformat(objected or decided["day"]), decided["due"]
        self._reviews.append(
            {
                "month": month_number(content["day"]),
                "proposal": decided["proposal"],
                "disputed": objected is not None or decided.get("disputes") is not None,
                "override": content["override"],
                "reversal": content["reversal"],
                # The day of a dispute stands in no line.
                "late": None if objected is not None or due is None else content["day"] > due,
                "days": (date.fromisoformat(content["day"]) - since).days,
                "rules": [rule[0] for rule in decided["rules"] if rule[1] and rule[4] in ("review", "decline")],
            }
        )

    def _loan(self, content: Mapping[str, Any], person: bytes) -> None:
        name, month = content["loan"], month_number(content["day"])
        if self.unread_lines[person] and content["decision_id"] is None and name not in self._loans:
            # Later lines have a key of their own, and would bring back a loan whose first ones are not to be read.
            self.unread_loans.add(name)
            return
        row = self._loans.setdefault(name, dict.fromkeys(LOANS) | {"loan": name})
        if not content["principal"]:
            row["over"] = month
            return
        row["over"] = None
        decided, text = self._by_id.get(content["decision_id"] or "", (None, None))
        if content["decision_id"] is not None:
            row["start"] = month
        if decided is not None and text is not None:
            row |= {name: decided[name] for name in ("role", "signal", "group")} | {"pd": text["scored"]["pd"]}
