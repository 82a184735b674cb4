"""A node's own folder: keys, ledger, disclosure store, trusted cards and plans, all of them its owner's alone.

node.toml          the operator's configuration
card.txt           the enrolment card, to be given to the server and to peers
keys/              identity, label secret, SuperNode's key
ledger.db          what was released of the data set (never delete it)
register.db        of whom (never delete it, never give it away)
trust.json         cards whose fingerprints the operator compared
plans/             plans by hash: proposed, and approved ones
supernode/         Flower's own files
sockets/           the node's Unix socket
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from sealscore.clients.setup.config import CONFIG, NodeConfig
from sealscore.shared.files import write_whole
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.keyfile import KeyFileError, read_key, write_key
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Identify
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.state import LedgerFault, LedgerState
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import SECRET_BYTES, StreamSource

CARD = "card.txt"
PASSPHRASE = "SEALSCORE_PASSPHRASE"
_LABELS = "label-secret"


class NodeDirError(RuntimeError):
    """A node's folder that cannot be used; the message names the file and the fix."""


@dataclass(frozen=True)
class NodeDir:
    """The folder of one node. The passphrase of its keys, where they have one, comes from the environment."""

    folder: Path

    @property
    def config_file(self) -> Path:
        return self.folder / CONFIG

    @property
    def card_file(self) -> Path:
        return self.folder / CARD

    @property
    def ledger_file(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def disclosure_file(self) -> Path:
        return self.folder / "register.db"

    @property
    def plans(self) -> Path:
        return self.folder / "plans"

    @property
    def supernode(self) -> Path:
        return self.folder / "supernode"

    @property
    def supernode_key(self) -> Path:
        return self.folder / "keys" / "supernode"

    @property
    def status_file(self) -> Path:
        return self.folder / "status.json"

    def config(self) -> NodeConfig:
        """The operator's configuration; ConfigError where it cannot be used."""
        return NodeConfig.load(self.config_file)

    def sockets(self, config: NodeConfig) -> Path:
        """The folder of the node's socket."""
        return self.folder / (config.node.sockets or "sockets")

    def create(self, name: str, role: str) -> Identity:
        """Make the folder and its keys, once.

        Raises:
            NodeDirError: there are keys already.
            KeyFileError: they cannot be written.
        """
        for folder in (self.folder, self.folder / "keys", self.plans):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(self.folder, 0o700)
        if self._identity_file.exists():
            raise NodeDirError(f"{self._identity_file}: this folder has a node already; name another folder")
        identity = Identity.generate(name, role)  # type: ignore[arg-type]
        identity.save(self._identity_file, passphrase())
        write_key(self._label_file, _LABELS, {"name": name}, os.urandom(SECRET_BYTES), passphrase())
        self.card_file.write_text(identity.card.text + "\n", encoding="ascii")
        return identity

    def identity(self) -> Identity:
        """The node's identity; KeyFileError where its file cannot be used."""
        return Identity.load(self._identity_file, passphrase())

    def label_secret(self) -> StreamSource:
        """What keys the coins of the data set's labels; KeyFileError where its file cannot be used."""
        _, secret = read_key(self._label_file, _LABELS, passphrase())
        return StreamSource(secret, "system")

    def trust(self) -> TrustStore:
        """The cards that the operator trusts; TrustError where the file is damaged."""
        return TrustStore(self.folder / "trust.json")

    def ledger(self, identity: Identity, config: NodeConfig) -> Ledger:
        """The ledger of the data set, begun where there is none.

        Raises:
            LedgerError: it cannot be used.
            HomeError: it is that of another data set than the configuration's, or names persons by another column or
                in another form.
        """
        identified = Identify(column=config.data.identifier, form=config.data.form)
        if not self.ledger_file.exists():
            return Ledger.create(self.ledger_file, identity, config.data.id, config.budget, identified=identified)
        ledger = Ledger(self.ledger_file, identity)
        try:
            self._check_data_set(ledger, config)
            if ledger.state.identified is None:
                # It was begun before ledgers had such an entry. Another process may be about to append it, too.
                with contextlib.suppress(LedgerFault):
                    ledger.append(lambda state: identified)
                self._check_data_set(ledger, config)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def _check_data_set(self, ledger: Ledger, config: NodeConfig) -> None:
        state, data = ledger.state, config.data
        if state.opened is not None and state.opened.data_set != data.id:
            raise NodeDirError(
                f"{self.ledger_file}: is the ledger of the data set {state.opened.data_set!r}, and node.toml names "
                f"{data.id!r}; a data set keeps its id, and another one needs a folder of its own"
            )
        known = state.identified
        if known is not None and (known.column, known.form) != (data.identifier, data.form):
            raise NodeDirError(
                f"{self.ledger_file}: persons of this data set are named by the column {known.column!r} in the form "
                f"{known.form!r}, and node.toml has identifier = {data.identifier!r}, form = {data.form!r}; both stay "
                "for the life of the data set (a column that was renamed is given its old name by a query)"
            )
        if known is None:
            self._check_approved(state, config)

    def _check_approved(self, state: LedgerState, config: NodeConfig) -> None:
        """Refuse to name persons as node.toml says where a plan was approved that named them otherwise."""
        persons, party = config.data.persons, state.card.name
        wrong = {plan.plan.name: persons.disagreeing(plan.plan, party) for plan in state.plans.values()}
        lines = [f"{name}: {line}" for name, found in wrong.items() for line in found]
        if lines:
            raise NodeDirError(
                f"{self.ledger_file}: node.toml's identifier and form are not those of the plans that were approved "
                "so far; write theirs, or begin another data set in a folder of its own:\n" + "\n".join(lines)
            )

    def disclosure_store(self) -> DisclosureStore:
        """The disclosure store; DisclosureStoreError where it cannot be used."""
        return DisclosureStore(self.disclosure_file)

    def plan_file(self, hash: str) -> Path:
        """Where a plan is kept by its hash."""
        return self.plans / f"{hash}.json"

    def keep_plan(self, plan: Plan) -> Path:
        """Keep a plan for the operator to look at."""
        self.plans.mkdir(mode=0o700, exist_ok=True)
        path = self.plan_file(plan.hash)
        if not path.exists():
            write_whole(path, plan.canonical())
        return path

    def kept_plans(self) -> dict[str, Plan]:
        """All plans that are kept, by hash; a file that is none is left out."""
        found = {}
        for path in sorted(self.plans.glob("*.json")):
            try:
                plan = Plan.from_canonical(path.read_bytes())
            except (PlanError, OSError):
                continue
            found[plan.hash] = plan
        return found

    @property
    def _identity_file(self) -> Path:
        return self.folder / "keys" / "identity"

    @property
    def _label_file(self) -> Path:
        return self.folder / "keys" / _LABELS


def passphrase() -> str | None:
    """That of the node's keys, where they have one."""
    return os.environ.get(PASSPHRASE)


__all__ = ["CARD", "PASSPHRASE", "KeyFileError", "NodeDir", "NodeDirError", "passphrase"]
