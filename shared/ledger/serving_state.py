"""What follows from a ledger's entries of serving: the releases, and what each lender may have been told by day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from sealscore.shared.ledger.entries import (
    AdmitRelease,
    Disclose,
    EndRelease,
    LogDay,
    ServeCorrect,
    ServeDay,
    ServeWithdraw,
    TellLimit,
    kept_meaning,
)
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.manifest import Manifest, Told


class TrainedPlan(Protocol):
    """What is asked of the state of a plan."""

    plan: Plan
    party: str
    disclosures: list[Disclose]


PlanT = TypeVar("PlanT", bound=TrainedPlan)


class ServingFault(ValueError):
    """An entry of serving that the ones before it do not allow; `code` names the kind of fault."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code


@dataclass
class ReleaseState:
    """A release that was approved: `told` is what this party tells under it, None at a lender."""

    manifest: Manifest
    admitted: int
    limits: Mapping[str, TellLimit]
    told: Told | None
    state: Literal["live", "ended"] = "live"
    days: dict[str, list[ServeDay]] = field(default_factory=dict)
    corrections: list[ServeCorrect] = field(default_factory=list)


class ServingState:
    """The fold over the entries of serving of one party."""

    def __init__(self) -> None:
        self.releases: dict[str, ReleaseState] = {}
        self.withdrawals: list[ServeWithdraw] = []
        self.log_days: list[LogDay] = []
        self.apply: dict[type, Callable[[int, Any, Mapping[str, TrainedPlan]], None]] = {
            AdmitRelease: self._admit,
            EndRelease: self._end,
            ServeDay: self._day,
            ServeCorrect: self._correct,
            ServeWithdraw: self._withdraw,
            LogDay: self._log,
        }

    @property
    def live(self) -> list[ReleaseState]:
        """Releases that may be used."""
        return [release for release in self.releases.values() if release.state == "live"]

    def _admit(self, seq: int, entry: AdmitRelease, plans: Mapping[str, TrainedPlan]) -> None:
        release, plan = self._release(seq, entry, plans)
        party, manifest, told = plan.plan.party(plan.party), release.manifest, release.told
        if party.group != plan.plan.lenders:
            if told is None:
                raise ServingFault("release", f"it tells nothing of {party.group}")
            if told.meaning not in told_meanings(signals_under(plan, plans)):
                raise ServingFault("tower", "its tower is none whose levels were told by this party in training")
            if set(entry.limits) != set(told.bits):
                raise ServingFault("release", f"limits are needed of {', '.join(told.bits)}")
        elif party.name not in manifest.lenders:
            raise ServingFault("release", f"{party.name} is none of its lenders")
        elif entry.limits:
            raise ServingFault("release", "a lender tells nothing, and has no limits")
        self.releases[entry.release] = release

    def take(self, seq: int, entry: AdmitRelease, plans: Mapping[str, TrainedPlan]) -> None:
        """Take a release for approved, whatever it tells: a verifier counts what was charged under it.

        Raises:
            ServingFault: it cannot be read, was approved before, or is of no approved plan.
        """
        self.releases[entry.release] = self._release(seq, entry, plans)[0]

    def _release(
        self, seq: int, entry: AdmitRelease, plans: Mapping[str, TrainedPlan]
    ) -> tuple[ReleaseState, TrainedPlan]:
        """The release of an approval, with its plan; ServingFault where it is none that is new here."""
        if entry.release in self.releases:
            raise ServingFault("release", "this release was approved before")
        try:
            manifest = Manifest.from_canonical(entry.text)
        except PlanError as error:
            raise ServingFault("release", f"the release cannot be read: {error}") from None
        if (manifest.hash, manifest.plan) != (entry.release, entry.plan):
            raise ServingFault("release", "the text is not that of the release that it names")
        plan = plans.get(entry.plan)
        if plan is None:
            raise ServingFault("release", "it is of a plan that was never approved here")
        told = manifest.told.get(plan.plan.party(plan.party).group)
        return ReleaseState(manifest, seq, entry.limits, told), plan

    def _end(self, seq: int, entry: EndRelease, plans: Mapping[str, TrainedPlan]) -> None:
        self._live(entry.release).state = "ended"

    def _day(self, seq: int, entry: ServeDay, plans: Mapping[str, TrainedPlan]) -> None:
        release = self._live(entry.release)
        if release.told is None or entry.peer not in release.manifest.lenders:
            raise ServingFault("serving", f"nothing is told to {entry.peer} under this release")
        if entry.bits != release.told.bits or entry.most != release.manifest.most_a_day:
            raise ServingFault("serving", "bits or persons are not those of the release")
        if entry.day > str(release.manifest.expires):
            raise ServingFault("serving", f"{entry.day} is after the release's last day, {release.manifest.expires}")
        days = release.days.setdefault(entry.peer, [])
        if days and entry.day <= days[-1].day:
            raise ServingFault("order", f"{entry.day} is not after {days[-1].day}, charged for {entry.peer} before")
        days.append(entry)

    def _correct(self, seq: int, entry: ServeCorrect, plans: Mapping[str, TrainedPlan]) -> None:
        release = self._live(entry.release)
        charged = release.days.get(entry.peer, [])
        if not charged or charged[-1].day != entry.day:
            raise ServingFault("serving", f"a correction of {entry.day}, on which nothing is charged for {entry.peer}")
        if any(charged[-1].bits.get(kind) != bits for kind, bits in entry.bits.items()):
            raise ServingFault("serving", "a correction tells other kinds or bits than the release")
        release.corrections.append(entry)

    def _withdraw(self, seq: int, entry: ServeWithdraw, plans: Mapping[str, TrainedPlan]) -> None:
        same = [one.batch for one in self.withdrawals if (one.peer, one.direction) == (entry.peer, entry.direction)]
        if same and entry.batch <= same[-1]:
            raise ServingFault("order", f"batch {entry.batch} is not after {same[-1]}")
        self.withdrawals.append(entry)

    def _log(self, seq: int, entry: LogDay, plans: Mapping[str, TrainedPlan]) -> None:
        if self.log_days and entry.day <= self.log_days[-1].day:
            raise ServingFault("order", f"{entry.day} is not after {self.log_days[-1].day}")
        self.log_days.append(entry)

    def _live(self, release: str) -> ReleaseState:
        found = self.releases.get(release)
        if found is None or found.state != "live":
            raise ServingFault("release", "it is under a release that is not approved, or not any more")
        return found


def signals_under(plan: PlanT, plans: Mapping[str, PlanT]) -> PlanT:
    """The plan under which the signals of a plan were told: itself, or the earlier one that it takes them from."""
    source = plan.plan.signals_from
    return plan if source is None else plans.get(source.plan, plan)


def told_meanings(plan: TrainedPlan) -> set[str]:
    """The meanings of levels that this party told under a plan. `kept_meaning` leaves digests as they are."""
    return {
        kept_meaning(disclosure.what)
        for disclosure in plan.disclosures
        if disclosure.phase.startswith("disclose_signal:")
    }
