"""The server's own folder: its key, certificates, enrolled cards, plans, runs and receipts.

server.toml        names, addresses and ports
card.txt           the server's card, to be given to every partner
keys/identity      the server's signing key
certificates/      ca.pem (for partners), ca.key, server.pem, server.key
cards/             enrolments of partners' nodes
plans/             signed plans by name: NAME.json; what partners approve is its hash
superlink/         Flower's own files
runs/              one folder a plan, with its journal
releases/          one folder a release, made of a finished run
relay/             sealed parcels of scoring that wait for their recipients, and what the last relay did
receipts.jsonl     the receipts for all heads of partners' ledgers (never delete it)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sealscore.shared.files import write_whole
from sealscore.shared.identity.enrolment import Enrolment
from sealscore.shared.identity.identity import CardError, Identity
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.plan.schema import Strict
from sealscore.shared.plan.toml import load_as
from sealscore.shared.serving.manifest import MANIFEST

CONFIG = "server.toml"
PASSPHRASE = "SEALSCORE_PASSPHRASE"
Port = Annotated[int, Field(ge=1024, le=65535)]


class ServerError(RuntimeError):
    """A server's folder that cannot be used; the message names the file and the fix."""


class ServerConfig(Strict):
    """server.toml: by which names and addresses partners reach the server, and where it listens.

    `partner_host` is the interface of the partner port; the control port is on this machine's loopback interface.
    `body_limit_mib` bounds one request of a partner's node, whose messages have 15 MiB at most.
    """

    hosts: tuple[str, ...]
    partner_host: str = "127.0.0.1"
    partner_port: Port = 9481
    control_port: Port = 9480
    body_limit_mib: Annotated[int, Field(ge=16, le=64)] = 16

    @classmethod
    def load(cls, path: Path) -> ServerConfig:
        """Read a server.toml; PlanError where it is missing or has keys or values that are not allowed."""
        return load_as(cls, path, "sealscore-server init makes one")


@dataclass(frozen=True)
class ServerDir:
    """The folder of one server. The passphrase of its key, where it has one, comes from the environment."""

    folder: Path

    @property
    def config_file(self) -> Path:
        return self.folder / CONFIG

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def cards(self) -> Path:
        return self.folder / "cards"

    @property
    def plans(self) -> Path:
        return self.folder / "plans"

    @property
    def receipts(self) -> Path:
        return self.folder / "receipts.jsonl"

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    @property
    def relay_waiting(self) -> Path:
        return self.folder / "relay" / "waiting"

    @property
    def relay_report(self) -> Path:
        return self.folder / "relay" / "last.json"

    def made_releases(self) -> dict[str, Path]:
        """The folders of the releases that were made here, by name."""
        return {path.parent.name: path.parent for path in sorted(self.releases.glob(f"*/{MANIFEST}"))}

    @property
    def card_file(self) -> Path:
        return self.folder / "card.txt"

    def config(self) -> ServerConfig:
        """The operator's configuration; PlanError where it cannot be used."""
        return ServerConfig.load(self.config_file)

    def create(self) -> Identity:
        """Make the folder and the server's key, once; ServerError where there is one already."""
        for folder in (self.folder, self.folder / "keys", self.certificates, self.cards, self.plans):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(self.folder, 0o700)
        if self._identity_file.exists():
            raise ServerError(f"{self._identity_file}: this folder has a server already; name another folder")
        identity = Identity.generate(SERVER, "server")
        identity.save(self._identity_file, os.environ.get(PASSPHRASE))
        self.card_file.write_text(identity.card.text + "\n", encoding="ascii")
        return identity

    def identity(self) -> Identity:
        """The server's identity; KeyFileError where its file cannot be used."""
        return Identity.load(self._identity_file, os.environ.get(PASSPHRASE))

    def enrolments(self) -> dict[str, Enrolment]:
        """The enrolments by name; CardError for a file that is none."""
        found = {}
        for path in sorted(self.cards.glob("*.txt")):
            try:
                enrolment = Enrolment.from_text(path.read_text(encoding="ascii"))
            except (OSError, UnicodeDecodeError, CardError) as error:
                raise CardError(f"{path}: {error}") from None
            found[enrolment.card.name] = enrolment
        return found

    def check_card(self, enrolment: Enrolment) -> Path:
        """Where an enrolment is kept; ServerError where another card of that name is kept."""
        path = self.cards / f"{enrolment.card.name}.txt"
        if path.exists() and path.read_text(encoding="ascii") != enrolment.text:
            raise ServerError(
                f"{path}: another card of {enrolment.card.name!r} is enrolled; move it away to replace it"
            )
        return path

    def keep_card(self, enrolment: Enrolment) -> Path:
        """Keep an enrolment; ServerError where another card of that name is kept."""
        path = self.check_card(enrolment)
        write_whole(path, enrolment.text)
        return path

    def signed_plans(self) -> dict[str, Plan]:
        """The signed plans by name."""
        found = {path.stem: Plan.from_canonical(path.read_bytes()) for path in sorted(self.plans.glob("*.json"))}
        return found

    def run_folder(self, plan: Plan) -> Path:
        """Where the run of a plan is kept: a plan runs once."""
        return self.folder / "runs" / f"{plan.name}-{plan.hash[:12]}"

    def earlier_run(self, plan: Plan) -> Path | None:
        """The folder of the run from which a plan takes its signals; None where it takes none, or there is no such."""
        return self._run_of(plan.signals_from.plan) if plan.signals_from else None

    def calibrated_run(self, plan: Plan) -> Path | None:
        """The folder of the run whose scores a plan calibrates again; None where it does not, or there is no such."""
        return self._run_of(plan.scores_from.plan) if plan.scores_from else None

    def _run_of(self, plan: str) -> Path | None:
        return next(self.folder.glob(f"runs/*-{plan[:12]}"), None)

    @property
    def _identity_file(self) -> Path:
        return self.folder / "keys" / "identity"
