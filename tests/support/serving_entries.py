"""Entries of serving as a platform's ledger has them, without a run: for tests of who reads ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ledger_files import CEILINGS, PLATFORM, append_raw, approval, disclose, enrolled_plan, new_ledger

from sealscore.shared.dp.events import Disclosure
from sealscore.shared.ledger.entries import AdmitRelease, Ceilings, Entry, ServeCorrect, ServeDay, TellLimit
from sealscore.shared.phases.kind import Kind
from sealscore.shared.serving.manifest import Capacity, Manifest, Told

LENDERS = ("lender-1", "lender-2")
MEANING, OTHER = "ab" * 32, "cd" * 32
HEAD = "ef" * 32
LIMITS = {"signal": TellLimit(month=3, life=12), "capacity": TellLimit(month=3, life=30)}


def manifest(name: str = "first", meaning: str = MEANING, **changes: Any) -> Manifest:
    """A release of the vertical plan under which a video platform tells the signal and the capacity."""
    told = Told(meaning=meaning, signal_bits=3, capacity=Capacity(column="views", edges=(1.0, 2.0)))
    days = {"issued": date(2031, 1, 1), "expires": date(2031, 12, 31)}
    plain = {"name": name, "plan": enrolled_plan().hash, "purpose_code": "credit-decision", "lenders": LENDERS}
    return Manifest(**plain | days | {"told": {"video": told}, "files": {}} | changes)


def admit(release: Manifest, limits: Mapping[str, TellLimit] | None = None) -> AdmitRelease:
    """Its approval at a platform."""
    chosen = dict(LIMITS if limits is None else limits)
    return AdmitRelease(release=release.hash, plan=release.plan, text=release.canonical(), limits=chosen)


def served(release: Manifest, day: str, peer: str = LENDERS[0], **changes: Any) -> ServeDay:
    """The charge of a day for one lender."""
    bits = dict(release.told["video"].bits)
    plain = {"release": release.hash, "peer": peer, "day": day, "most": release.most_a_day, "bits": bits}
    return ServeDay(**plain | {"store_head": HEAD} | changes)


def corrected(release: Manifest, day: str, peer: str = LENDERS[0], **changes: Any) -> ServeCorrect:
    """A correction of what was told of one person."""
    plain = {"release": release.hash, "peer": peer, "day": day, "bits": {"signal": 3}, "cause": "wrong-rows"}
    return ServeCorrect(**plain | {"why": "a shifted column", "store_head": HEAD} | changes)


def told(meaning: str = MEANING) -> Entry:
    """The disclosure of levels in training, without which no release of a tower can be approved."""
    event = Disclosure(bits=enrolled_plan().model.signal_bits, recipient=LENDERS[0], count=1)
    return disclose(enrolled_plan(), Kind.SIGNAL, 1, peer=LENDERS[0], event=event, what=meaning)


def platform_ledger(path: Path, *entries: Entry, ceilings: Ceilings = CEILINGS) -> Path:
    """The ledger of a video platform that took part in training, and these entries: whether or not they are allowed."""
    ledger = new_ledger(path, PLATFORM, ceilings)
    first: tuple[Entry, ...] = (approval(enrolled_plan()), told())
    for entry in first:
        ledger.append(lambda state, entry=entry: entry)  # type: ignore[misc]
    ledger.close()
    for entry in entries:
        append_raw(path, entry, party=PLATFORM)
    return path
