"""What a watch keeps: a signed line of the log for each month that was judged, and for each alert that was taken up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sealscore.clients.decision.reviews import check_reason, names_person
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.watch.errors import WatchError
from sealscore.clients.watch.judged import JudgedMonth
from sealscore.clients.watch.months import month_number, month_text

KIND: Literal["watch"] = "watch"


@dataclass
class KeptAlert:
    """An alert: the month that made it, and who took it up with which note, if somebody did."""

    id: str
    measure: str
    severity: str
    owner: str
    month: str
    release: str
    by: str | None = None
    note: str | None = field(default=None, repr=False)

    @property
    def state(self) -> str:
        """Whether it waits for somebody."""
        return "open" if self.by is None else "acknowledged"


@dataclass
class WatchJournal:
    """The months of each release as they were judged last, and all alerts in order."""

    months: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    alerts: dict[str, KeptAlert] = field(default_factory=dict)

    @classmethod
    def of(cls, log: ScoreLog) -> WatchJournal:
        """What a log has of it."""
        found = cls()
        for line in log.notes(KIND):
            found._take(line.content or {})
        return found

    def of_release(self, release: str) -> dict[int, dict[str, Any]]:
        """The months of one release."""
        return self.months.get(release, {})

    def going_on(self, release: str, month: int) -> set[str]:
        """Measures that breached in all months since one that made their alert, up to the month before this one."""
        found, lasting = set[str](), self._breached(release, month - 1)
        while lasting:
            month -= 1
            text = month_text(month)
            found |= {
                alert.measure
                for alert in self.alerts.values()
                if (alert.release, alert.month) == (release, text) and alert.measure in lasting
            }
            lasting &= self._breached(release, month - 1)
        return found

    def _breached(self, release: str, month: int) -> set[str]:
        rows = self.of_release(release).get(month, {}).get("measures", ())
        return {row["name"] for row in rows if row["threshold"] is not None and row["value"] > row["threshold"]}

    def _take(self, content: dict[str, Any]) -> None:
        if content["what"] == "month":
            month = month_number(content["month"])
            self.months.setdefault(content["release"], {})[month] = content
            for alert in content["alerts"]:
                kept = KeptAlert(**alert, month=content["month"], release=content["release"])
                self.alerts.setdefault(alert["id"], kept)
        elif content["what"] == "acknowledged":
            alert = self.alerts[content["alert"]]
            alert.by, alert.note = content["by"], content["note"]


def keep_month(log: ScoreLog, judged: JudgedMonth) -> bool:
    """Keep a month as one line; False where the log has the very same of it already."""
    content = judged.plain()
    with log.commit() as batch:
        if WatchJournal.of(log).of_release(judged.release).get(judged.month) == content:
            return False
        batch.note(KIND, content)
    return True


def acknowledge(log: ScoreLog, alert: str, by: str, note: str, caller: str) -> KeptAlert:
    """Somebody takes an alert up; gives it.

    Raises:
        WatchError: there is no such alert, it was taken up already, or nobody is named.
        DecisionError: the note says nothing.
    """
    if not names_person(by):
        raise WatchError("by", "an alert is taken up by a person: give a name or staff number as --by")
    check_reason(note)
    with log.commit() as batch:
        known = WatchJournal.of(log).alerts
        if alert not in known:
            raise WatchError("alert", "there is no such alert; sealscore-node watch list has them")
        if known[alert].by is not None:
            raise WatchError("acknowledged", "this alert was taken up already; sealscore-node watch list says by whom")
        made = {"form": 1, "what": "acknowledged", "alert": alert, "by": by.strip(), "note": note.strip()}
        batch.note(KIND, made | {"caller": caller})
    return WatchJournal.of(log).alerts[alert]
