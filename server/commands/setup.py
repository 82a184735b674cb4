"""`sealscore-server init`, `start`, `enrol`, `nodes` and `renew`: the server before a plan is run."""

from __future__ import annotations

import signal
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sealscore.server.commands.terminal import HERE, Folder, console, server_dir_at, superlink_of
from sealscore.server.setup.server_dir import PASSPHRASE, ServerDir
from sealscore.shared.identity.enrolment import Enrolment
from sealscore.shared.identity.identity import same_fingerprint
from sealscore.shared.text.logs import log_to_stderr
from sealscore.shared.text.terminal import BAD_INPUT, fail, foreign

TEMPLATE = """\
# The configuration of a Sealscore server.

hosts = [{hosts}]                  # by which names and addresses partners reach it; they are in its certificate
partner_host = "{listen}"          # the interface of the partner port
partner_port = 9481
control_port = 9480                # on this machine only; never open it to others
body_limit_mib = 16                # largest request of a partner's node
"""


def init(
    host: Annotated[
        list[str], typer.Option(help="A host name or address by which partners reach the server; several.")
    ],
    listen: Annotated[str, typer.Option(help="The interface of the partner port; 0.0.0.0 for all.")] = "127.0.0.1",
    folder: Folder = HERE,
) -> None:
    """Make the server's key and card, a certificate authority, a certificate and a server.toml."""
    from sealscore.server.deploy.certificates import check_names, make_authority, make_server_certificate

    server_dir = ServerDir(folder.resolve())
    if server_dir.config_file.exists():
        fail(f"{server_dir.config_file}: this folder has a server already; name another folder", BAD_INPUT)
    check_names(host)
    hosts = ", ".join(f'"{name}"' for name in host)
    try:
        ip_address(listen)
    except ValueError:
        raise typer.BadParameter(f"{listen!r}: an IP address of this machine", param_hint="--listen") from None
    text = TEMPLATE.format(hosts=hosts, listen=listen)
    identity = server_dir.create()
    make_authority(server_dir.certificates)
    make_server_certificate(server_dir.certificates, host)
    server_dir.config_file.write_text(text, encoding="utf-8")
    console.print(f"a server is made in {foreign(server_dir.folder)}")
    console.print("  send certificates/ca.pem and card.txt to every partner")
    console.print(f"  read them this fingerprint over another channel: [bold]{identity.card.fingerprint}[/bold]")
    console.print("  then [bold]sealscore-server start[/bold], and enrol the partners' cards")
    console.print(f"Keep a copy of keys/ and certificates/ in a safe place. (A passphrase: {PASSPHRASE}.)", style="dim")


def enrol(
    card: Annotated[Path, typer.Argument(help="A partner's card.txt.")],
    fingerprint: Annotated[
        str | None, typer.Option(help="The fingerprint as its holder gave it; without it you are asked to compare.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Enrol a partner's node: its key may connect from now on, and plans may name its card. The server must run."""
    from sealscore.server.deploy.control import Control

    server_dir = server_dir_at(folder)
    try:
        enrolment = Enrolment.from_text(card.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{card}: no card can be read there ({error})", BAD_INPUT)
    if enrolment.card.role == "server":
        fail(f"{card}: is the card of a server; a node's is made by sealscore-node init", BAD_INPUT)
    server_dir.check_card(enrolment)
    console.print(f"The card of the {enrolment.card.role} [bold]{enrolment.card.name}[/bold] has the fingerprint")
    console.print(f"  [bold]{enrolment.card.fingerprint}[/bold]")
    if fingerprint is None:
        fingerprint = typer.prompt("Type the fingerprint that its holder gave you over another channel than the card")
    if not same_fingerprint(enrolment.card.fingerprint, str(fingerprint)):
        fail("this is not the card's fingerprint: ask its holder for both again, over another channel", BAD_INPUT)
    with Control(superlink_of(server_dir)) as control:
        control.enrol(enrolment.key, enrolment.card.name)
    server_dir.keep_card(enrolment)
    console.print(f"enrolled: {enrolment.card.name}; its node may connect")


def nodes(folder: Folder = HERE) -> None:
    """List the enrolled nodes, with which are connected; exit code 1 if the server does not answer."""
    from sealscore.server.deploy.control import Control

    server_dir = server_dir_at(folder)
    with Control(superlink_of(server_dir)) as control:
        found = control.nodes()
    table = Table("node", "connected")
    for node in found:
        table.add_row(foreign(node.name), "yes" if node.online else "no")
    console.print(table if found else "no node is enrolled yet; sealscore-server enrol CARD")


def start(folder: Folder = HERE) -> None:
    """Start the SuperLink with its partner port, and keep it running until Ctrl-C or SIGTERM."""
    import os

    from sealscore.server.deploy.certificates import CERTIFICATE, read_certificate
    from sealscore.server.deploy.superlink import SuperLink

    server_dir = server_dir_at(folder)
    log = log_to_stderr("sealscore.server")
    server_dir.identity()
    left = read_certificate(server_dir.certificates / CERTIFICATE).days_left
    if left < 30:
        log.warning("the certificate is good for %d days more; sealscore-server renew makes a new one", left)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = superlink_of(server_dir)
    passphrase = {PASSPHRASE: os.environ[PASSPHRASE]} if PASSPHRASE in os.environ else {}
    with SuperLink(settings, notice=log.info, environment=passphrase):
        log.info("partners connect to port %d, control is on %s", settings.partner_port, settings.control_address)
        stop.wait()
    log.info("stopped")


def renew(folder: Folder = HERE) -> None:
    """Make a new certificate for the names in server.toml; restart the server to use it."""
    from sealscore.server.deploy.certificates import make_server_certificate, read_certificate

    server_dir = server_dir_at(folder)
    made = read_certificate(make_server_certificate(server_dir.certificates, server_dir.config().hosts))
    console.print(
        f"good for {made.days_left:.0f} days, for {foreign(', '.join(made.names))}; restart the server to use it"
    )
