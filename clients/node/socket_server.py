"""The daemon: serves the nodes of one process on Unix sockets, one socket a party.

Who may ask is settled by the machine: the directory of the sockets is its owner's alone (0700), each socket is
0600, and the kernel's word on the caller's user id is checked where there is one. All answers of a process are
computed in one thread, one at a time: a node's state sees no concurrency, and equal requests in equal order give
equal answers. A caller that has hung up before its turn is not answered, since an answer that nobody reads would
still be charged to the ledger.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sealscore.clients.courier import Responder, describe, socket_path
from sealscore.clients.frames import (
    ASK,
    ERROR,
    MAX_BODY,
    NAME,
    REPLY,
    FrameError,
    OversizeError,
    read_frame,
    send_frame,
)

log = logging.getLogger("sealscore.sockets")


class SocketServerError(RuntimeError):
    """The daemon cannot serve where it was told to; the text names the path and the mend."""


@contextmanager
def serve(
    responders: Iterable[Responder], directory: str | Path, *, limit: int = MAX_BODY, patience: float = 30.0
) -> Iterator[dict[str, Path]]:
    """Serve each responder on `directory/<name>.sock` until the context ends; yields party to socket path.

    A request or an answer above `limit` bytes is answered with the code "too-large". A caller has `patience`
    seconds to send its request whole, and as long to take the answer. Raises DaemonError for a directory that
    others may enter, a socket that another process serves, or two responders of one name.
    """
    daemon = _Daemon(limit, patience)
    try:
        yield daemon.start(list(responders), Path(directory))
    finally:
        daemon.stop()


class _Daemon:
    def __init__(self, limit: int, patience: float) -> None:
        self.limit = limit
        self.patience = patience
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="node")
        self.selector = selectors.DefaultSelector()
        self.bell, self.ear = socket.socketpair()
        self.acceptor: threading.Thread | None = None
        self.open: dict[socket.socket, threading.Thread] = {}
        self.lock = threading.Lock()
        self.cleanup = ExitStack()

    def start(self, responders: list[Responder], directory: Path) -> dict[str, Path]:
        _own_directory(directory)
        paths: dict[str, Path] = {}
        for responder in responders:
            if responder.name in paths:
                raise SocketServerError(f"two nodes are named {responder.name!r}; each party has one node")
            path = socket_path(directory, responder.name)
            listener = _listen(path)
            self.cleanup.callback(_unlink_own, path, path.stat().st_ino)
            self.cleanup.callback(listener.close)
            self.selector.register(listener, selectors.EVENT_READ, responder)
            paths[responder.name] = path
        self.selector.register(self.ear, selectors.EVENT_READ, None)
        self.acceptor = threading.Thread(target=self._accept, name="node-acceptor", daemon=True)
        self.acceptor.start()
        return paths

    def stop(self) -> None:
        """Take no more callers, let the answer in work go out, hang up on the others, remove the sockets."""
        self.bell.send(b"!")
        if self.acceptor is not None:
            self.acceptor.join()
        self.cleanup.close()
        self.worker.shutdown(wait=True, cancel_futures=True)
        with self.lock:
            conversations = dict(self.open)
        for connection in conversations:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # ends a read, and lets a reply that is being sent go out
        for conversation in conversations.values():
            conversation.join(self.patience)
        self.selector.close()
        self.bell.close()
        self.ear.close()

    def _accept(self) -> None:
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                try:
                    connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
                except OSError as error:  # the caller has gone again, or no descriptor is free
                    log.warning("a caller could not be accepted: %s", describe(error))
                    time.sleep(0.01)
                    continue
                conversation = threading.Thread(target=self._converse, args=(connection, key.data), daemon=True)
                with self.lock:
                    self.open[connection] = conversation
                conversation.start()

    def _converse(self, connection: socket.socket, responder: Responder) -> None:
        try:
            with connection:
                if (caller := _caller(connection)) not in (None, os.getuid()):
                    log.warning("%s: a caller of user id %s was turned away", responder.name, caller)
                    return
                kind, body = self._request(connection, responder)
                send_frame(connection, kind, body, time.monotonic() + self.patience)
        except (OSError, CancelledError, RuntimeError) as error:
            log.info("%s: a caller got no answer: %s", responder.name, describe(error))
        finally:
            with self.lock:
                self.open.pop(connection, None)

    def _request(self, connection: socket.socket, responder: Responder) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + self.patience
        try:
            kind, request = read_frame(connection, (ASK, NAME), deadline, self.limit)
        except OversizeError:
            return ERROR, b"too-large"
        if kind == NAME:
            return REPLY, responder.name.encode("utf-8")
        return self.worker.submit(self._answer, connection, responder.answer, request, responder.name).result()

    def _answer(
        self, connection: socket.socket, answer: Callable[[bytes], bytes], request: bytes, party: str
    ) -> tuple[bytes, bytes]:
        if _hung_up(connection):
            raise FrameError("the caller hung up before its turn")
        try:
            body = bytes(memoryview(answer(request)))
        except Exception as error:
            log.error("%s: the node gave no answer: %s", party, describe(error))
            return ERROR, b"unavailable"
        return (REPLY, body) if len(body) <= self.limit else (ERROR, b"too-large")


def _own_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.stat()
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise SocketServerError(
            f"{directory}: the directory of the sockets must be this user's alone; run chmod 700 {directory}, "
            "or name another directory"
        )


def _listen(path: Path) -> socket.socket:
    if path.is_symlink() or path.exists():
        _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SocketServerError(f"{path}: cannot listen there ({error.strerror})") from error
    return listener


def _remove_stale(path: Path) -> None:
    """A killed process leaves its socket file; a live one still answers on it."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise SocketServerError(f"{path}: a file that is no socket is in the way; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError:
            pass
    raise SocketServerError(f"{path}: another process serves this party; stop it first")


def _unlink_own(path: Path, inode: int) -> None:
    with suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


def _caller(connection: socket.socket) -> int | None:
    """User id of the process at the other end by the kernel's word; None where the system has no such word here.

    Without it the modes of directory and socket are the wall, which they are on every system that is served.
    """
    if sys.platform.startswith("linux"):
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])  # struct ucred: pid, uid, gid
    if sys.platform == "darwin":
        credentials = connection.getsockopt(0, 1, 76)  # SOL_LOCAL, LOCAL_PEERCRED: struct xucred
        return int(struct.unpack_from("=II", credentials)[1])  # cr_version, cr_uid
    return None


def _hung_up(connection: socket.socket) -> bool:
    connection.setblocking(False)  # with a timeout set, a peek would wait for it
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
