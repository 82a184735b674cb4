"""`python -m sealscore.server.deploy.launcher`: Flower's SuperLink behind two doors, each with TLS.

The control port, on the loopback interface, serves the operator (with a token) and the server's own executor; the
partner port serves partners' nodes and nothing else. Flower itself has one port for all and no door. What is used
of Flower here is its application (`create_app`) and its description of a SuperLink, so a change of either shows at
the start and not in a run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from flwr.supercore.http_logging import get_uvicorn_log_config
from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.main import create_app

from sealscore.server.deploy.connections import HastyLoop, HastyProtocol, Listener, listen
from sealscore.server.deploy.enrolled import enrolled_in
from sealscore.server.deploy.gate import CONTROL, FLEET, MEBIBYTE, RUNTIME, App, Gate, token_digest
from sealscore.shared.processes import follow_parent

_LOOPBACK = "127.0.0.1"
_CONTROL_LIMIT = 64 * MEBIBYTE


class _Server(uvicorn.Server):
    """Two of them share one process, so neither takes the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> None:
    """Serve until SIGTERM or SIGINT, or until the process that started this one is gone."""
    arguments = _arguments()
    os.umask(0o077)  # Flower makes its database readable by all: it has bundles, logs and payloads under way
    follow_parent(os.getppid())
    flower = create_app(_configuration(arguments), SuperLinkLifespan)
    app: App = flower
    token = token_digest(arguments.token_file.read_bytes())
    control = Gate(app, CONTROL | RUNTIME, _CONTROL_LIMIT, guarded=CONTROL, token=token)
    partner = Gate(app, FLEET, arguments.body_limit, enrolled=enrolled_in(flower.state.linkstate_factory))
    try:
        listener = listen(arguments.partner_host, arguments.partner_port)
    except OSError as error:
        raise SystemExit(f"the partner port: {error}") from None
    with listener, asyncio.Runner(loop_factory=HastyLoop) as runner:
        runner.run(
            _serve(
                _server(control, arguments, _LOOPBACK, arguments.control_port, lifespan="on"),
                _server(partner, arguments, arguments.partner_host, arguments.partner_port, lifespan="off"),
                listener,
            )
        )


async def _serve(control: uvicorn.Server, partner: uvicorn.Server, listener: Listener) -> None:
    def end() -> None:
        partner.should_exit = control.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)

    async def until_end(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        try:
            await server.serve(sockets)
        finally:
            end()  # one door alone is of no use: a port that is taken ends both

    first = asyncio.create_task(until_end(control))
    while not control.started and not first.done():  # the application starts with the first door
        await asyncio.sleep(0.02)
    await asyncio.gather(first, until_end(partner, [listener]))


def _server(app: App, arguments: argparse.Namespace, host: str, port: int, *, lifespan: str) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            lifespan=lifespan,  # type: ignore[arg-type]
            http=HastyProtocol if lifespan == "off" else "auto",
            ssl_certfile=str(arguments.certificate),
            ssl_keyfile=str(arguments.key),
            log_config=get_uvicorn_log_config(20),
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


def _configuration(arguments: argparse.Namespace) -> SuperLinkLifespanConfig:
    """A SuperLink without Flower's older interfaces, that starts no process itself and installs nothing."""
    certificates = tuple(path.read_bytes() for path in (arguments.authority, arguments.certificate, arguments.key))
    secret = arguments.superexec_secret.read_bytes()
    if not secret:
        raise SystemExit(f"{arguments.superexec_secret}: is empty")
    return SuperLinkLifespanConfig(
        control_address=f"{_LOOPBACK}:{arguments.control_port}",
        health_server_address=None,
        host=_LOOPBACK,
        port=arguments.control_port,
        insecure=False,
        certificates=certificates,
        superexec_auth_secret=secret,
        authn_plugin=NoOpControlAuthnPlugin(),  # the door has asked for the token
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type="grpc-rere",
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=str(arguments.authority),
        ssl_certfile=str(arguments.certificate),
        ssl_keyfile=str(arguments.key),
        database=str(arguments.database),
        isolation="process",
        runtime_dependency_install=False,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sealscore.server.deploy.launcher", description=__doc__)
    for name in ("certificate", "key", "authority", "database", "superexec-secret", "token-file"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--partner-host", required=True)
    parser.add_argument("--partner-port", type=int, required=True)
    parser.add_argument("--body-limit", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
