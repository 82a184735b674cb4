"""A platform with real keys after training, for what serving costs there: its ledger, its store, and a lender's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from sealscore.clients.platform_api.desk import DeskSources
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.tokens import TokenMaker
from sealscore.clients.setup.config import TELL_LIMITS
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.dp.events import Disclosure
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import AdmitRelease, Approve, Ceilings, Disclose, Identify
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.serving.manifest import Manifest
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.serving_keys import ServingKeys, ServingPeer, month_of

MOST_A_DAY = 1_000_000


class TrainedPlatform:
    """The first platform of a release whose records are given by party; files are in a folder until it is left.

    The store belongs to whichever thread opens it (`store`).
    """

    def __init__(self, release: Release, records: Mapping[str, Records], folder: Path) -> None:
        plan = release.plan
        roles = {party.name: plan.groups[party.group].role for party in plan.parties}
        identities = {name: Identity.generate(name, role) for name, role in roles.items()}
        data = plan.model_dump(mode="json")
        data["server_card"] = Identity.generate(SERVER, "server").card.text
        data["parties"] = [party | {"card": identities[party["name"]].card.text} for party in data["parties"]]
        group = plan.platforms[0]
        name, self.lender = plan.members(group)[0].name, plan.members(plan.lenders)[0].name
        self.identity, self.folder, self.today = identities[name], folder, datetime.now(UTC).date()
        self.form = plan.alignment.identifier
        self.release = _under(release, Plan.parse(data), MOST_A_DAY)
        self.ledger = _charged(folder / "ledger.db", self.identity, self.release, group, self.lender)
        # What people of the simulation consent to is training.
        self.records = replace(records[name], consent=None)
        keys = ServingKeys.of(identities[self.lender], month_of(self.today), PlanKeys.secret())
        self.peers = {self.lender: ServingPeer.read(keys.certificate, identities[self.lender].card)}

    def __enter__(self) -> TrainedPlatform:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ledger.close()

    def store(self) -> ServingStore:
        """Its store, opened by whoever uses and closes it."""
        return ServingStore(self.folder / "serving.db")

    def maker(self) -> TokenMaker:
        """Its maker of tokens, for the calling thread."""
        return TokenMaker(self.identity, self.ledger, self.store(), self.release, self.records, self.peers)

    def sources(self) -> DeskSources:
        """Where its desk reads, all from memory."""
        return DeskSources(
            release=lambda hash: self.release,
            records=lambda plan: self.records,
            state=lambda: None,
            keys_state=lambda: None,
            peers=lambda cards, month: self.peers,
            today=lambda: self.today,
        )


def _under(release: Release, plan: Plan, most_a_day: int) -> Release:
    """The release with the same models under another plan's hash."""
    fields = release.manifest.model_dump(mode="json") | {"plan": plan.hash, "most_a_day": most_a_day}
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
