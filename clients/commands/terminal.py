"""What the commands of a node share: the console, the folder, and which errors an operator can fix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sealscore.clients.applicant.errors import UsedNumbersError
from sealscore.clients.data import DataError
from sealscore.clients.decision.policy.approved import NoPolicy
from sealscore.clients.decision.register import DecisionError
from sealscore.clients.deploy.node_key import NodeKeyError
from sealscore.clients.node.socket_server import SocketServerError
from sealscore.clients.scoring.batches import BatchError
from sealscore.clients.scoring.score_log import ScoreLogError
from sealscore.clients.scoring.serving_store import ServingStoreError
from sealscore.clients.setup.bundle_file import BundleFileError
from sealscore.clients.setup.node_dir import NodeDir, NodeDirError
from sealscore.clients.watch.errors import WatchError
from sealscore.shared.crypto.sealing import CertificateError
from sealscore.shared.identity.identity import CardError
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.identity.trust import EnrolmentError, TrustError, Untrusted
from sealscore.shared.ledger.budget_check import Overdrawn
from sealscore.shared.ledger.disclosure_store import DisclosureStoreError
from sealscore.shared.ledger.ledger import LedgerError
from sealscore.shared.ledger.state import LedgerFault
from sealscore.shared.owners import root_elsewhere
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.release import ReleaseError
from sealscore.shared.text.terminal import BAD_INPUT, FAILED, Terminal, errors, fail

console = Terminal()

Folder = Annotated[Path, typer.Option("--home", envvar="SEALSCORE_HOME", help="The node's own folder.")]
HERE = Path(".")
_REASON = 500

_BAD_INPUT = (
    BundleFileError,
    PlanError,
    DataError,
    CardError,
    TrustError,
    EnrolmentError,
    Untrusted,
    NodeDirError,
    KeyFileError,
    NodeKeyError,
    ReleaseError,
    CertificateError,
    BatchError,
    DecisionError,
    NoPolicy,
    WatchError,
)
_FAILED = (
    LedgerError,
    DisclosureStoreError,
    LedgerFault,
    Overdrawn,
    SocketServerError,
    ServingStoreError,
    ScoreLogError,
    UsedNumbersError,
)
EXPECTED: dict[type[Exception], int] = dict.fromkeys(_BAD_INPUT, BAD_INPUT) | dict.fromkeys(_FAILED, FAILED)


def node_dir_at(folder: Path) -> NodeDir:
    """The node's folder, which must have a node in it."""
    node_dir = NodeDir(folder.resolve())
    if not node_dir.config_file.exists():
        fail(f"{node_dir.config_file}: there is no node here; sealscore-node init makes one", BAD_INPUT)
    if (words := root_elsewhere(node_dir.folder)) is not None:
        fail(words, BAD_INPUT)
    return node_dir


def for_eyes(fault: DataError) -> str:
    """A fault of the data, with cells of the table where they go to a terminal: a pipe may end in a file."""
    return fault.shown if errors.is_terminal else str(fault)


def reason(text: str) -> str:
    """A reason as the ledger keeps it; BadParameter where it is none, or too long."""
    if not 1 <= len(text.strip()) <= _REASON:
        raise typer.BadParameter(f"a reason has 1 to {_REASON} characters", param_hint="--why")
    return text.strip()


__all__ = [
    "BAD_INPUT",
    "EXPECTED",
    "FAILED",
    "HERE",
    "Folder",
    "console",
    "errors",
    "fail",
    "node_dir_at",
    "reason",
]
