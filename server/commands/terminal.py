"""What the commands of a server share: the console, the folder, and which errors an operator can fix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sealscore.server.deploy.certificates import TlsCertificateError
from sealscore.server.deploy.control_answers import ControlError
from sealscore.server.deploy.superlink import SuperLinkError, SuperLinkSettings
from sealscore.server.setup.server_dir import ServerDir, ServerError
from sealscore.shared.identity.identity import CardError
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.ledger.chain import AnchorError
from sealscore.shared.owners import root_elsewhere
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import ReleaseError
from sealscore.shared.text.terminal import BAD_INPUT, FAILED, Terminal, fail

console = Terminal()

Folder = Annotated[Path, typer.Option("--home", envvar="SEALSCORE_SERVER_HOME", help="The server's own folder.")]
HERE = Path(".")

_BAD_INPUT = (PlanError, CardError, ServerError, KeyFileError, TlsCertificateError, AnchorError, ReleaseError)
_FAILED = (ControlError, SuperLinkError)
EXPECTED: dict[type[Exception], int] = dict.fromkeys(_BAD_INPUT, BAD_INPUT) | dict.fromkeys(_FAILED, FAILED)


def server_dir_at(folder: Path) -> ServerDir:
    """The server's folder, which must have a server in it."""
    server_dir = ServerDir(folder.resolve())
    if not server_dir.config_file.exists():
        fail(f"{server_dir.config_file}: there is no server here; sealscore-server init makes one", BAD_INPUT)
    if (words := root_elsewhere(server_dir.folder)) is not None:
        fail(words, BAD_INPUT)
    return server_dir


def signed_plan(signed: dict[str, Plan], name: str) -> Plan:
    """The signed plan of that name; ends with an error where there is none."""
    if name not in signed:
        fail(f"{name}: no signed plan is so named; signed: {', '.join(signed) or 'none'}", BAD_INPUT)
    return signed[name]


def superlink_of(server_dir: ServerDir) -> SuperLinkSettings:
    """How the SuperLink of a server is started and reached."""
    config = server_dir.config()
    return SuperLinkSettings(
        folder=server_dir.folder / "superlink",
        certificates=server_dir.certificates,
        control_port=config.control_port,
        partner_host=config.partner_host,
        partner_port=config.partner_port,
        body_limit=config.body_limit_mib * 2**20,
    )
