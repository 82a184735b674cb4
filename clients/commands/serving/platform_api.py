"""`sealscore-node platform-api`: consents and tokens over HTTP, for the platform's own back end."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from sealscore.clients.commands.features import Rate, rates_of
from sealscore.clients.commands.serving.tokens import of_role
from sealscore.clients.commands.terminal import BAD_INPUT, HERE, Folder, fail
from sealscore.clients.http.binding import Binding, BindingError, TlsFiles
from sealscore.shared.text.logs import log_to_stderr


def platform_api(
    listen: Annotated[
        str | None,
        typer.Option(
            help="unix:PATH, 127.0.0.1:PORT or, with certificates, ADDRESS:PORT. A socket of the node if none."
        ),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS: the service's certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS: its key (PEM).")] = None,
    callers_ca: Annotated[Path | None, typer.Option(help="TLS: the authority of the callers' certificates.")] = None,
    most_a_second: Annotated[
        float | None,
        typer.Option(min=0.01, help="Requests a second that each caller may send; any where not given."),
    ] = None,
    logs: Annotated[str, typer.Option("--log", help="text, or json: one object a line.")] = "text",
    rate: Rate = None,
    folder: Folder = HERE,
) -> None:
    """At a platform: serve consents and tokens over HTTP to its own back end, until Ctrl-C or SIGTERM.

    It runs beside the node or without it. SIGHUP has the data read again.
    """
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
        tls = TlsFiles.given(certificate, key, callers_ca)
        binding = Binding.parse(listen or f"unix:{sockets / 'platform-api.sock'}", tls)
        service = PlatformService(node_dir, binding, rates=rates_of(rate), most_a_second=most_a_second)
    except BindingError as error:
        fail(error, BAD_INPUT)
    signal.signal(signal.SIGHUP, lambda number, frame: service.reload())
    try:
        service.serve_forever()
    except BindingError as error:
        fail(error, BAD_INPUT)
    finally:
        service.close()
