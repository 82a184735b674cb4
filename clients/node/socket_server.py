"""The socket server: serves the nodes of one process on Unix sockets, one socket a party.

Who may ask is settled by the machine: the directory of the sockets is its owner's alone (0700), each socket is
0600, and the kernel's word on the caller's user id is checked where there is one. Callers are served by an event
loop in a thread of its own, however many there are. All answers of a process are computed in one other thread, one
at a time: a node's state sees no concurrency, and equal requests in equal order give equal answers. A caller that
has hung up before its turn is not answered, since an answer that nobody reads would still be charged to the ledger.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import struct
import sys
import threading
from asyncio.trsock import TransportSocket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sealscore.clients.courier import Responder, describe, socket_path
from sealscore.clients.frames import (
    _HEAD,  # partners approve the bytes of frames.py with the courier, so it keeps this name
    ASK,
    ERROR,
    MAX_BODY,
    NAME,
    REPLY,
    FrameError,
    OversizeError,
)
from sealscore.clients.http.own_socket import OwnSocket, one_at_a_time

_BACKLOG = 128

log = logging.getLogger("sealscore.sockets")


class SocketServerError(RuntimeError):
    """The server cannot serve where it should; the text names the path and the fix."""


@contextmanager
def serve(
    responders: Iterable[Responder], directory: str | Path, *, limit: int = MAX_BODY, patience: float = 30.0
) -> Iterator[dict[str, Path]]:
    """Serve each responder on `directory/<name>.sock` until the context ends; yields party to socket path.

    A request or an answer above `limit` bytes is answered with the code "too-large". A caller has `patience`
    seconds to send its request whole, and as long to take the answer. Raises SocketServerError for a directory that
    others may enter, a socket that another process serves, or two responders of one name.
    """
    server = _SocketServer(limit, patience)
    try:
        yield server.start(list(responders), Path(directory))
    finally:
        server.stop()


class _SocketServer:
    def __init__(self, limit: int, patience: float) -> None:
        self.limit = limit
        self.patience = patience
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="node")
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.thread: threading.Thread | None = None
        self.cleanup = ExitStack()
        self.stopping = asyncio.Event()
        self.turn = asyncio.Lock()
        self.open: set[asyncio.Task[None]] = set()
        self.waiting: set[asyncio.Task[None]] = set()  # of these, those that the end of the service may cut off

    def start(self, responders: list[Responder], directory: Path) -> dict[str, Path]:
        _own_directory(directory)
        paths: dict[str, Path] = {}
        listeners: list[tuple[Responder, socket.socket]] = []
        for responder in responders:
            if responder.name in paths:
                raise SocketServerError(f"two nodes are named {responder.name!r}; each party has one node")
            path = socket_path(directory, responder.name)
            listener, own = _listen(path)
            self.cleanup.callback(own.remove)
            self.cleanup.callback(listener.close)
            listeners.append((responder, listener))
            paths[responder.name] = path
        self.runner.get_loop().set_exception_handler(_note)
        self.thread = threading.Thread(target=self._run, args=(listeners,), name="node-sockets", daemon=True)
        self.thread.start()
        return paths

    def stop(self) -> None:
        """Take no more callers, let the answer in work go out, hang up on the others, remove the sockets."""
        if self.thread is not None:
            self.runner.get_loop().call_soon_threadsafe(self.stopping.set)
            self.thread.join()
            self.runner.close()
        self.cleanup.close()
        self.worker.shutdown()

    def _run(self, listeners: list[tuple[Responder, socket.socket]]) -> None:
        self.runner.run(self._serve(listeners))

    async def _serve(self, listeners: list[tuple[Responder, socket.socket]]) -> None:
        servers = [
            await asyncio.start_unix_server(partial(self._accept, responder), sock=listener, backlog=_BACKLOG)
            for responder, listener in listeners
        ]
        await self.stopping.wait()
        for server in servers:
            server.close()
        self.cleanup.close()
        for conversation in self.waiting:
            conversation.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)

    def _accept(self, responder: Responder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.get_running_loop().create_task(self._converse(responder, reader, writer))
        # Not the conversation's own affair: one that is cut off before it has begun would leave the caller waiting.
        conversation.add_done_callback(lambda _: writer.transport.abort())
        for tasks in (self.open, self.waiting):
            tasks.add(conversation)
            conversation.add_done_callback(tasks.discard)

    async def _converse(self, responder: Responder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if (caller := _caller(writer.get_extra_info("socket"))) not in (None, os.getuid()):
                log.warning("%s: a caller of user id %s was turned away", responder.name, caller)
                return
            kind, body = await self._reply(responder, reader, writer)
            await self._send(writer, kind, body)
        except (OSError, asyncio.CancelledError) as error:
            log.info("%s: a caller got no answer: %s", responder.name, describe(error))

    async def _reply(
        self, responder: Responder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[bytes, bytes]:
        try:
            async with asyncio.timeout(self.patience):
                kind, request = await _read_frame(reader, (ASK, NAME), self.limit)
        except OversizeError:
            return ERROR, b"too-large"
        if kind == NAME:
            return REPLY, responder.name.encode("utf-8")
        async with self.turn:
            if _hung_up(writer.get_extra_info("socket")):
                raise FrameError("the caller hung up before its turn")
            self._commit()
            return await asyncio.get_running_loop().run_in_executor(self.worker, self._answer, responder, request)

    def _answer(self, responder: Responder, request: bytes) -> tuple[bytes, bytes]:
        try:
            body = bytes(memoryview(responder.answer(request)))
        except BaseException as error:  # a panic of a library in Rust is no Exception, and its text may quote a record
            log.error("%s: the node gave no answer: %s", responder.name, describe(error))
            return ERROR, b"unavailable"
        return (REPLY, body) if len(body) <= self.limit else (ERROR, b"too-large")

    async def _send(self, writer: asyncio.StreamWriter, kind: bytes, body: bytes) -> None:
        self._commit()
        writer.transport.set_write_buffer_limits(0)  # drained means then that all of it has left this process
        async with asyncio.timeout(self.patience):
            writer.write(_HEAD.pack(kind, len(body)) + body)
            await writer.drain()

    def _commit(self) -> None:
        """From here on the end of the service waits for this conversation."""
        if (conversation := asyncio.current_task()) is not None:
            self.waiting.discard(conversation)


async def _read_frame(reader: asyncio.StreamReader, kinds: tuple[bytes, ...], limit: int) -> tuple[bytes, bytes]:
    """As `frames.read_frame`, without its deadline."""
    try:
        kind, size = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if kind not in kinds:
            raise FrameError(f"a frame of kind {kind!r}, where {kinds} are spoken")
        if size > limit:
            raise OversizeError(f"a frame of {size} bytes, above the limit of {limit}")
        return kind, await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise FrameError(f"the other end hung up after {len(error.partial)} of {error.expected} bytes") from None


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """In place of asyncio's own log line, which has an error's text: for want of descriptors, for instance."""
    error = context.get("exception")
    log.warning("a caller could not be accepted: %s", context["message"] if error is None else describe(error))


def _own_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.stat()
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise SocketServerError(
            f"{directory}: the directory of the sockets must be this user's alone; run chmod 700 {directory}, "
            "or name another directory"
        )


def _listen(path: Path) -> tuple[socket.socket, OwnSocket]:
    with one_at_a_time(path.parent):
        if path.is_symlink() or path.exists():
            _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(path))
            path.chmod(0o600)
            own = OwnSocket(path)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise SocketServerError(f"{path}: cannot listen there ({error.strerror})") from error
    return listener, own


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


def _caller(connection: socket.socket | TransportSocket) -> int | None:
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


def _hung_up(connection: TransportSocket) -> bool:
    """Whether the caller has gone by the kernel's word; the event loop may not have come to hear of it."""
    try:
        with connection.dup() as peeked:
            return peeked.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
