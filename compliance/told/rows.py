"""What ledgers record as told, from whom to whom: one row for each, however many of the ledgers speak of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sealscore.compliance.told.kinds import OF_PHASE, OF_SERVING, OTHER, TOLD_KINDS, ToldKind
from sealscore.compliance.verify.account import Account
from sealscore.shared.dp.events import Disclosure, RandomizedResponse
from sealscore.shared.ledger.entries import Disclose, Reserve
from sealscore.shared.ledger.scoring_bits import told_by_lender
from sealscore.shared.phases.kind import Kind as PhaseKind
from sealscore.shared.plan.plan import Plan

Stage = Literal["training", "scoring", "monitoring"]
READERS = "*"
"""The recipient of what everybody gets who sees a result: the server, the plan's parties, and whom they show it to."""


@dataclass(frozen=True)
class DisclosureRow:
    """What one party told one recipient under one plan or, for scoring, all its releases.

    `bits` are of one person, None where it is counted otherwise; `label_epsilon` is that of a noisy label. `persons` is
    of how many, `fresh` of how many for the first time, None where the ledger does not say. `messages` counts what
    left: messages, days charged, or answers. `by` are the parties whose ledgers here record it, `fields` the data
    fields behind it, and `plans` the hashes of the plans that it is under. `meaning` is equal where the
    same values were told again.
    """

    kind: str
    stage: Stage
    sender: str
    recipient: str
    plan: Plan | None
    bits: int | None
    label_epsilon: float | None
    persons: int | None
    fresh: int | None
    messages: int
    first: str
    last: str
    by: tuple[str, ...]
    fields: tuple[str, ...]
    plans: tuple[str, ...]
    meaning: str

    def as_json(self) -> dict[str, Any]:
        """For machines: plain data. `measure` is what `bits` or `label_epsilon` are in, or "epsilon" for counts."""
        return {
            "kind": self.kind,
            "stage": self.stage,
            "from": self.sender,
            "to": "everybody who sees the result" if self.recipient == READERS else self.recipient,
            "learns": self.of.learns(),
            "data_fields": list(self.fields),
            "measure": self.of.limit,
            "bits": self.bits,
            "label_epsilon": self.label_epsilon,
            "persons": self.persons,
            "persons_new": self.fresh,
            "first": self.first,
            "last": self.last,
            "recorded_by": list(self.by),
        }

    @property
    def of(self) -> ToldKind:
        """Its kind."""
        return TOLD_KINDS[self.kind]


def told_rows(accounts: Sequence[Account]) -> list[DisclosureRow]:
    """All that the ledgers record, each disclosure once: by stage, kind, sender and recipient."""
    merged: dict[tuple[object, ...], DisclosureRow] = {}
    for one in (row for account in accounts for row in _rows(account)):
        hash = one.plan.hash if one.plan else ""
        key = (one.kind, one.stage, one.sender, one.recipient, hash, one.bits, one.label_epsilon)
        known = merged.get(key)
        merged[key] = one if known is None else _both(known, one)
    places = {key: place for place, key in enumerate(TOLD_KINDS)}
    stages = ("training", "scoring", "monitoring")
    return sorted(
        merged.values(), key=lambda one: (stages.index(one.stage), places[one.kind], one.sender, one.recipient)
    )


def planned_kinds(accounts: Iterable[Account], plan: str = "") -> set[str]:
    """Kinds that approved plans and releases provide for, whether or not anything was told yet.

    Of all plans, or of that of one hash.
    """
    found: set[str] = set()
    for account in accounts:
        for one in account.plans:
            if plan in ("", one.plan.hash):
                found |= {OF_PHASE[phase.kind] for _, phase in one.phases.values() if phase.kind in OF_PHASE}
        for release in account.state.serving.releases.values():
            if plan not in ("", release.manifest.plan):
                continue
            tells = [release.told] if release.told else release.manifest.told.values()
            found |= {OF_SERVING[kind] for told in tells for kind in told.bits}
    return found


def bits_received(rows: Iterable[DisclosureRow], stage: Stage) -> dict[str, Counter[str]]:
    """The most bits that each recipient has received of one person at one stage, by kind, from all senders together.

    The same meaning from the same sender tells nothing new, in however many plans; what came from different senders
    adds up.
    """
    most: dict[tuple[str, str, str, str], int] = {}
    for one in rows:
        if one.stage == stage and one.bits and one.fresh != 0:
            key = (one.recipient, one.kind, one.sender, one.meaning)
            most[key] = max(most.get(key, 0), one.bits)
    found: dict[str, Counter[str]] = {}
    for (recipient, kind, _, _), bits in most.items():
        found.setdefault(recipient, Counter())[kind] += bits
    return found


def _both(one: DisclosureRow, other: DisclosureRow) -> DisclosureRow:
    """The same disclosure by two ledgers, or by several entries of one: the larger of each figure."""
    return replace(
        one,
        persons=_larger(one.persons, other.persons),
        fresh=_larger(one.fresh, other.fresh),
        messages=max(one.messages, other.messages),
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        by=tuple(dict.fromkeys((*one.by, *other.by))),
    )


def _larger(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return max(known) if known else None


def _rows(account: Account) -> Iterator[DisclosureRow]:
    yield from _disclosed(account)
    yield from _counted(account)
    yield from _served(account)


def _disclosed(account: Account) -> Iterator[DisclosureRow]:
    """What was told in the paired phases of plans; entries of one disclosure are summed."""
    found: dict[tuple[object, ...], DisclosureRow] = {}
    for line, entry in account.of(Disclose):
        event, kind = entry.event, _kind(entry)
        if isinstance(event, Disclosure):
            recipient = event.recipient
            sender = account.party if recipient != account.party else entry.peer
        else:
            lends = account.role == "lender"
            sender, recipient = (account.party, entry.peer) if lends else (entry.peer, account.party)
        known = account.state.plans.get(entry.plan)
        plan = known.plan if known else None
        group = entry.phase.partition(":")[2]
        one = DisclosureRow(
            kind,
            "training",
            sender,
            recipient,
            plan,
            event.bits * event.count if isinstance(event, Disclosure) else None,
            event.epsilon if isinstance(event, RandomizedResponse) else None,
            entry.persons,
            entry.fresh,
            1,
            line.day,
            line.day,
            (account.party,),
            TOLD_KINDS[kind].fields(plan, group, None) if plan else (),
            (entry.plan,),
            # What has no name may mean something new each time.
            entry.what or f"{entry.plan} {line.seq}",
        )
        key = (kind, sender, recipient, entry.plan, one.bits, one.label_epsilon, entry.what)
        before = found.get(key)
        if before is not None:
            fresh, times = (before.fresh or 0) + entry.fresh, before.messages + 1
            one = replace(_both(before, one), fresh=fresh, messages=times)
        found[key] = one
    yield from found.values()


def _kind(entry: Disclose) -> str:
    try:
        return OF_PHASE.get(PhaseKind(entry.phase.partition(":")[0]), OTHER)
    except ValueError:
        return OTHER


def _counted(account: Account) -> Iterator[DisclosureRow]:
    """Counts of monitoring, which are sums with noise."""
    for plan in account.plans:
        lines = [
            line
            for line, entry in account.of(Reserve)
            if entry.plan == plan.plan.hash and entry.phase.startswith(f"{PhaseKind.PASSAGES.value}:")
        ]
        if lines:
            fields = TOLD_KINDS["counts"].fields(plan.plan, plan.plan.lenders, None)
            days = [line.day for line in lines]
            yield DisclosureRow(
                *("counts", "monitoring", account.party, READERS, plan.plan, None, None, None, None, len(lines)),
                *(min(days), max(days), (account.party,), fields, (plan.plan.hash,), plan.plan.hash),
            )


def _served(account: Account) -> Iterator[DisclosureRow]:
    """What a platform may have told for scoring, by the days that its ledger charges."""
    serving = account.state.serving
    for lender, told in told_by_lender(serving).items():
        releases = [one for one in serving.releases.values() if one.days.get(lender) or one.corrections]
        plans = tuple(dict.fromkeys(one.manifest.plan for one in releases))
        for kind, bits in told.bits.items():
            key, fields = OF_SERVING.get(kind, OTHER), dict[str, None]()  # type: ignore[call-overload]
            for release in releases:
                known = account.state.plans.get(release.manifest.plan)
                if known is not None and release.told is not None:
                    group = known.plan.party(account.party).group
                    fields |= dict.fromkeys(TOLD_KINDS[key].fields(known.plan, group, release.told))
            yield DisclosureRow(
                *(key, "scoring", account.party, lender, None, bits, None, None, None, told.days),
                *(told.first, told.last, (account.party,), tuple(fields), plans, kind),
            )
