"""The executor of a SuperNode: takes client tasks, and runs each in a process of its own if its bundle is allowed.

It replaces Flower's `flower-superexec` and `flwr-clientapp`. Run by its path, `python -I executor.py`, so
that neither the working directory nor PYTHONPATH can put another module in the way. It asks for client tasks and
for no other kind (a server may as well ask for agents, models and connectors). Flower would start an interpreter
and import itself again for each message, 1 s; here each message gets a copy (fork) of a process that has done so.

A bundle reaches such a copy as bytes in one answer of the SuperNode (PullTaskInput). The hash is taken of these
very bytes, in the process that runs them, before anything of them is parsed, and the same object is then unpacked.
Three things that the server also sends would let it have other code run in their place, so they count for nothing:

- the hash that it states for the bundle: the bytes are hashed again;
- the app's name and version, from which Flower makes the path of the code: they must be the bundle's own;
- what an earlier bundle left on disk: Flower takes an unpacked folder for this bundle's when eight hex digits of
  its hash agree. So each message unpacks into a folder of its own, which is removed at its end.

This file imports no other module of the project: whatever was imported here under the names of the bundle's
packages would be run in their place. Its check serves the SuperNode's launcher too, at the arrival of a bundle.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

_SHARED_MEMORY = "/dev/shm"
_UNPACKED = "sealscore-app-"
_HASH = re.compile(r"[0-9a-f]{64}")
_ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
_CLIENT_TASK = "flwr-clientapp"
_LONGEST_REST = 1.0  # seconds
_PART_AGAIN = 0.02  # seconds; Flower's own second was most of what a message took
# All that the server learns: what a node runs, and why not, is its operator's affair.
PUBLIC_REASON = "this node does not run this bundle"
PUBLIC_FAULT = "this node could not run the courier"


class BundleRefused(Exception):
    """A bundle that is not run. The text is PUBLIC_REASON (Flower sends it to the server), `reason` is in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(PUBLIC_REASON)
        self.reason = reason


def require_allowed(digest: str, allowed: Path) -> None:
    """Raise BundleRefused unless the file lists the hash: one SHA-256 a line, blanks and text after # left out.

    A file that is missing, damaged, or that others may write allows nothing.
    """
    try:
        status = allowed.stat()
        lines = allowed.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BundleRefused(f"bundle {digest} is refused: there is no list of allowed bundles at {allowed}") from None
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise BundleRefused(f"bundle {digest} is refused: others may write {allowed}; chmod 600 {allowed}")
    hashes = [line.partition("#")[0].strip() for line in lines]
    for number, entry in enumerate(hashes, start=1):
        if entry and not _HASH.fullmatch(entry):
            raise BundleRefused(f"bundle {digest} is refused: {allowed}, line {number} is no SHA-256 in hex")
    if digest not in hashes:
        raise BundleRefused(f"bundle {digest} is refused: no approved plan names it; approve one that does")


def record_refusal(refusals: Path, refused: BundleRefused, **about: object) -> None:
    """Report to the operator: a line in the process's log, and one in JSON in the file of refusals.

    Where they cannot be written the bundle is refused all the same.
    """
    say(refused.reason)
    entry = {"at": time.time(), "reason": refused.reason, **about}
    try:
        handle = os.open(refusals, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry, sort_keys=True) + "\n")
    except OSError as error:
        say(f"a refusal cannot be noted in {refusals} ({error.strerror or type(error).__name__})")


def say(text: str) -> None:
    """A line in the process's log, where it can be written."""
    with suppress(OSError):
        print(f"sealscore: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Take tasks of the SuperNode at `--runtime` (host:port) until SIGTERM, or until the starting process is gone."""
    parser = argparse.ArgumentParser(prog="executor.py", description=__doc__)
    parser.add_argument("--runtime", required=True)
    for name in ("secret", "allowed", "refusals", "arrived"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--poll", type=float, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _guard(arguments.allowed, arguments.refusals)
    _hasten()
    if sys.platform.startswith("linux"):
        _sweep()
    parent = os.getppid()
    client, request = _client(arguments.runtime, arguments.secret), _request()
    while os.getppid() == parent:
        _reap()
        if (token := _acquire(client, request)) is None:
            _rest(arguments.arrived, arguments.poll)
        elif os.fork() == 0:
            _run(arguments.runtime, token)


def _client(runtime: str, secret: Path) -> Any:
    from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
    from flwr.supercore.runtime import RuntimeHttpClient

    signer = SuperExecAuthHttpInterceptor(master_secret=secret.read_bytes(), protected_methods=frozenset({_ACQUIRE}))
    version = RuntimeVersionHttpInterceptor(component_name="SuperExec")
    return RuntimeHttpClient.from_server_address(runtime, True, None, [version, signer])


def _request() -> Any:
    from flwr.proto.runtime_pb2 import AcquireTaskRequest

    return AcquireTaskRequest(supported_task_types=[_CLIENT_TASK])


def _acquire(client: Any, request: Any) -> str | None:
    """The token of a task, or None where there is none. A SuperNode that is not there yet is asked again."""
    import httpx

    try:
        answer = client.AcquireTask(request)
    except httpx.TransportError:
        time.sleep(0.5)
        return None
    return answer.token or None


def _rest(arrived: Path, poll: float) -> None:
    """Wait until the SuperNode is asked again: a tenth of the time since a message arrived there, by that file.

    A question costs the two processes 10 ms together, a look at the file every `poll` seconds nothing.
    """
    began = time.monotonic()
    while True:
        time.sleep(poll)
        try:
            since = time.time() - arrived.stat().st_mtime
        except OSError:
            since = 10 * _LONGEST_REST
        if time.monotonic() - began >= min(_LONGEST_REST, since / 10):
            return


def _run(runtime: str, token: str) -> None:
    """In the copied process: run the task, leave nothing behind, end. Never returns."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        module: Any = sys.modules["flwr.supernode.runtime.run_clientapp"]
        # Flower unpacks into a folder of its own first.
        tempfile.tempdir = _memory()
        with tempfile.TemporaryDirectory(prefix=f"{_UNPACKED}{os.getpid()}-", ignore_cleanup_errors=True) as home:
            os.environ["FLWR_HOME"] = home
            module.run_clientapp(runtime, token, insecure=True, parent_pid=os.getppid())
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        with suppress(OSError):
            traceback.print_exc()
    finally:
        with suppress(OSError):  # a log on a full disk
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _memory() -> str | None:
    """A folder in memory, where the system has one: a bundle's files on a disk cost 0.2 s of each message.

    TMPDIR, where it is set, counts before it. None is the system's own choice.
    """
    return _SHARED_MEMORY if "TMPDIR" not in os.environ and os.access(_SHARED_MEMORY, os.W_OK) else None


def _sweep() -> None:
    """Remove what processes that were killed had unpacked."""
    for folder in Path(_memory() or tempfile.gettempdir()).glob(f"{_UNPACKED}*-*"):
        pid = folder.name.removeprefix(_UNPACKED).partition("-")[0]
        with suppress(OSError):
            if folder.stat().st_uid == os.getuid() and pid.isdigit() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(folder, ignore_errors=True)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _hasten() -> None:
    """Have a courier ask soon for the parts of its message that the SuperNode has not got yet."""
    import flwr.supernode.runtime.run_clientapp  # noqa: F401

    module: Any = sys.modules["flwr.supernode.runtime.run_clientapp"]
    module.pull_and_inflate_object_from_tree = partial(
        module.pull_and_inflate_object_from_tree, initial_backoff=_PART_AGAIN
    )


def _guard(allowed: Path, refusals: Path) -> None:
    """Put the check between the answer that brings the bundle and the function that unpacks it.

    Flower sends the text of whatever is raised here to the server, with what it says of this machine. So only the log
    gets what goes wrong in unpacking, and the reason of every other error is replaced.
    """
    import flwr.supernode.runtime.run_clientapp  # noqa: F401
    from flwr.cli.config_utils import get_fab_metadata

    module: Any = sys.modules["flwr.supernode.runtime.run_clientapp"]
    pull, unpack, error_of = module.pull_task_input, module.install_from_fab, module.Error
    named: dict[str, Any] = {}

    def pull_task_input(client: Any) -> Any:
        message, context, run, fab = pull(client)
        named.update(run=run, fab=fab)
        return message, context, run, fab

    def install_from_fab(content: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return admitted(content, *arguments, **options)
        except BundleRefused:
            raise
        except Exception as error:
            with suppress(OSError):
                traceback.print_exc()
            raise BundleRefused(f"the bundle could not be unpacked ({type(error).__name__})") from None

    def admitted(content: Any, *arguments: Any, **options: Any) -> Any:
        run, fab = named["run"], named["fab"]
        if type(content) is not bytes:
            raise TypeError("a bundle is bytes")
        digest = hashlib.sha256(content).hexdigest()
        try:
            require_allowed(digest, allowed)
            if (run.fab_id, run.fab_version, fab.hash_str) != (*get_fab_metadata(content), digest):
                raise BundleRefused(f"bundle {digest} is refused: the server gives it another name, version or hash")
        except BundleRefused as refused:
            record_refusal(refusals, refused, run=run.run_id, bundle=digest)
            raise
        return unpack(content, *arguments, **options)

    def public_error(code: int, reason: str | None = None) -> Any:
        public = PUBLIC_REASON if PUBLIC_REASON in (reason or "") else PUBLIC_FAULT
        return error_of(code=code, reason=public)

    module.pull_task_input, module.install_from_fab, module.Error = pull_task_input, install_from_fab, public_error


if __name__ == "__main__":
    main()
