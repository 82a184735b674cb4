"""`sealscore-node platform-api`: consents and tokens over HTTP, for the platform's own back end."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sealscore.clients.commands.serving.tokens import of_role
from sealscore.clients.commands.terminal import BAD_INPUT, HERE, Folder, console, fail
from sealscore.clients.http.binding import Binding, BindingError, TlsFiles
from sealscore.clients.http.callers import CallersError
from sealscore.clients.platform_api.app import RIGHTS, caller_file
from sealscore.shared.text.logs import log_to_stderr
from sealscore.shared.text.terminal import foreign

app = typer.Typer(help="At a platform: consents and tokens over HTTP, for its own back end.", no_args_is_help=True)
callers_app = typer.Typer(help="Who may call the platform's API.", no_args_is_help=True)
app.add_typer(callers_app, name="caller")
CallerName = Annotated[str, typer.Argument(help="The caller's name, for the operator's eyes.")]


@app.command()
def start(
    listen: Annotated[
        str | None,
        typer.Option(
            help="unix:PATH, 127.0.0.1:PORT or, with certificates, ADDRESS:PORT. A socket of the node if none."
        ),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS: the service's certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS: its key (PEM).")] = None,
    callers_ca: Annotated[Path | None, typer.Option(help="TLS: the authority of the callers' certificates.")] = None,
    logs: Annotated[str, typer.Option("--log", help="text, or json: one object a line.")] = "text",
    folder: Folder = HERE,
) -> None:
    """Serve until Ctrl-C or SIGTERM, beside the running node or without it. SIGHUP has the data read again."""
    # Only where it serves: no other command waits for an HTTP server to be imported.
    from sealscore.clients.platform_api.service import PlatformService

    node_dir = of_role(folder, "platform")
    if logs not in ("text", "json"):
        raise typer.BadParameter(f"{logs!r}: logs are text or json", param_hint="--log")
    log_to_stderr("sealscore", "json" if logs == "json" else "text")
    sockets = node_dir.sockets(node_dir.config())
    if listen is None:
        sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        binding = Binding.parse(listen or f"unix:{sockets / 'platform-api.sock'}", _tls(certificate, key, callers_ca))
        service = PlatformService(node_dir, binding)
    except BindingError as error:
        fail(error, BAD_INPUT)
    signal.signal(signal.SIGHUP, lambda number, frame: service.reload())
    try:
        service.serve_forever()
    except BindingError as error:
        fail(error, BAD_INPUT)
    finally:
        service.close()


@callers_app.command()
def add(
    name: CallerName,
    right: Annotated[list[str], typer.Option(help=f"What it may do: {', '.join(RIGHTS)}; once for each.")],
    subject: Annotated[
        str | None, typer.Option(help="Known by a client certificate's subject (RFC 4514) in the place of a token.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Add a caller; its token is printed once, and only its hash is kept."""
    try:
        token = caller_file(of_role(folder, "platform").folder).add(name, right, subject)
    except CallersError as error:
        fail(error, BAD_INPUT)
    print(token or f"{name} is known by its certificate")


@callers_app.command("list")
def list_callers(folder: Folder = HERE) -> None:
    """List the callers and their rights."""
    table = Table("caller", "rights", "known by")
    try:
        for one in caller_file(of_role(folder, "platform").folder).read():
            table.add_row(foreign(one.name), ", ".join(sorted(one.rights)), foreign(one.subject or "token"))
    except CallersError as error:
        fail(error, BAD_INPUT)
    console.print(table)


@callers_app.command()
def remove(name: CallerName, folder: Folder = HERE) -> None:
    """Remove a caller; its next request is refused."""
    try:
        caller_file(of_role(folder, "platform").folder).remove(name)
    except CallersError as error:
        fail(error, BAD_INPUT)
    console.print(f"removed: {foreign(name)}")


def _tls(certificate: Path | None, key: Path | None, callers_ca: Path | None) -> TlsFiles | None:
    given = [one for one in (certificate, key, callers_ca) if one is not None]
    if not given:
        return None
    if certificate is None or key is None or callers_ca is None:
        raise typer.BadParameter("give --certificate, --key and --callers-ca together", param_hint="--certificate")
    return TlsFiles(certificate, key, callers_ca)
