"""The day's relay: sealed parcels of scoring, from each party to those that score with it or make its tokens.

The server sees who sends whom how many bytes, which are constants of a release, and nothing else. It keeps the last
parcel of a pair until its recipient has taken it; what it loses, delays or alters is sent again by its sender the next
day, and one that stays without a signed receipt is an alarm at its sender.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sealscore.server.transport.exchange import Exchange, Failure, MissingParties, wait_for
from sealscore.shared.crypto.sealing import SignedMessageError, open_signed, sign_message
from sealscore.shared.files import write_whole
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Refusal, Relay, Relayed
from sealscore.shared.plan.plan import SERVER
from sealscore.shared.serving.parcel import recipients
from sealscore.shared.serving.release import Release

MOST_BYTES = 2**20
"""Of one parcel; a batch of a thousand places has some 25 kB."""

WAIT, TIMEOUT = 10.0, 120.0  # seconds


@dataclass(frozen=True)
class Waiting:
    """A parcel that its recipient has not taken yet."""

    sender: str
    recipient: str
    bytes: int
    since: str


@dataclass(frozen=True)
class RelayReport:
    """What each party said, parcels that were taken as (sender, recipient, bytes), and those that wait."""

    said: Mapping[str, str]
    taken: tuple[tuple[str, str, int], ...]
    waiting: tuple[Waiting, ...]

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


class Mailbox:
    """Parcels on the disk: a file for each pair, RECIPIENT/SENDER; the newest takes the place of the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, sender: str, recipient: str, parcel: bytes) -> None:
        """Keep a parcel until it is taken; OSError where it cannot be written."""
        path = self.folder / recipient / sender
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, parcel, 0o600)

    def of(self, recipient: str) -> dict[str, bytes]:
        """What waits for a party, by sender."""
        return {path.name: path.read_bytes() for path in self._paths(recipient)}

    def taken(self, recipient: str, parcels: Iterable[str]) -> None:
        """Forget parcels of these senders."""
        for sender in parcels:
            (self.folder / recipient / sender).unlink(missing_ok=True)

    def waiting(self) -> tuple[Waiting, ...]:
        """All that waits, in order of recipients."""
        return tuple(
            Waiting(path.name, path.parent.name, path.stat().st_size, _moment(path.stat().st_mtime))
            for folder in sorted(self.folder.glob("*"))
            for path in self._paths(folder.name)
        )

    def keep_only(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Forget parties of whom no release knows any more."""
        known = {recipient for _, recipient in pairs}
        for folder in self.folder.glob("*"):
            if folder.name not in known:
                shutil.rmtree(folder)

    def _paths(self, recipient: str) -> list[Path]:
        return sorted(path for path in (self.folder / recipient).glob("*") if not path.name.startswith("."))


class DayRelay:
    """One relay between the parties of some releases, whose cards are those of their plans."""

    def __init__(self, exchange: Exchange, identity: Identity, releases: Iterable[Release], mailbox: Mailbox) -> None:
        self._exchange, self._identity, self._mailbox = exchange, identity, mailbox
        self._cards: dict[str, Card] = {}
        self.lenders: list[str] = []
        self.platforms: list[str] = []
        self._pairs: set[tuple[str, str]] = set()
        self._said: dict[str, str] = {}
        self._taken: list[tuple[str, str, int]] = []
        for release in releases:
            self._cards |= release.plan.cards
            lenders = list(release.manifest.lenders)
            platforms = [name for name in recipients(release) if name not in lenders]
            self.lenders += [name for name in lenders if name not in self.lenders]
            self.platforms += [name for name in platforms if name not in self.platforms]
            for lender in lenders:
                self._pairs |= {(lender, name) for name in platforms} | {(name, lender) for name in platforms}

    def run(self) -> RelayReport:
        """Ask all for their parcels, and carry them.

        Keys of lenders first, since batches are sealed to them; then batches, and their receipts.

        Raises:
            OSError: a parcel cannot be kept.
        """
        self._mailbox.keep_only(self._pairs)
        try:
            wait_for(self._exchange, [*self.lenders, *self.platforms], WAIT, poll=0.5)
        except MissingParties as error:
            self._said |= dict.fromkeys(error.missing, "not there")
        self._ask(self.lenders)
        self._ask(self.platforms)
        self._ask(self.lenders)
        # What they would give now they gave before.
        self._ask(self.platforms, keep=False)
        return RelayReport(dict(sorted(self._said.items())), tuple(self._taken), self._mailbox.waiting())

    def _ask(self, parties: list[str], keep: bool = True) -> None:
        asked = [party for party in parties if self._said.get(party) != "not there"]
        headers = {party: Address("", secrets.token_hex(16), "", 0, 0, SERVER, party) for party in asked}
        parcels = {party: self._mailbox.of(party) for party in asked}
        requests = {party: sign_message(Relay(headers[party], parcels[party]), self._identity) for party in asked}
        for party, reply in self._exchange.send(requests, TIMEOUT).items():
            found = self._read(party, reply, headers[party])
            if isinstance(found, str):
                self._said[party] = found
                continue
            self._said[party] = "taken"
            self._mailbox.taken(party, parcels[party])
            self._taken += [(sender, party, len(parcel)) for sender, parcel in parcels[party].items()]
            for recipient, parcel in found.items():
                if keep and (party, recipient) in self._pairs and len(parcel) <= MOST_BYTES:
                    self._mailbox.put(party, recipient, parcel)

    def _read(self, party: str, reply: bytes | Failure, asked: Address) -> dict[str, bytes] | str:
        """A party's parcels by recipient, or why there are none."""
        if isinstance(reply, Failure):
            return reply.reason
        try:
            found: Relayed | Refusal = open_signed(reply, {party: self._cards[party]}, Relayed, Refusal)
        except SignedMessageError:
            return "malformed"
        if isinstance(found, Refusal):
            return f"refused: {found.code[:40]}"
        # An earlier answer that somebody kept on the way is no answer to this.
        return found.parcels if found.header == asked.reply() else "malformed"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
