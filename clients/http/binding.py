"""Where a service listens: a Unix socket, 127.0.0.1, or any address with TLS in which both sides show a certificate.

Bearer tokens and applicants' values never cross a network in clear, so no other place is offered.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from sealscore.clients.http.own_socket import OwnSocket, one_at_a_time

# A socket's name has 107 bytes at most on Linux, and fewer elsewhere.
_LONGEST = 100
_UNIX = "unix:"
_PLACE = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+)):(\d{1,5})")
_BACKLOG = 512
_ENDED = "has ended; put a new one in its place, which is taken up at once"


class BindingError(ValueError):
    """A place where nothing can listen, or may not; the message has the fix."""


@dataclass(frozen=True)
class TlsFiles:
    """Files of TLS in PEM: the service's certificate and key, and the authority of its callers' certificates."""

    certificate: Path
    key: Path
    callers: Path

    @classmethod
    def given(cls, certificate: Path | None, key: Path | None, callers: Path | None) -> TlsFiles | None:
        """Those that an operator gave, all three or none.

        Raises:
            BindingError: only some of them.
        """
        if certificate is not None and key is not None and callers is not None:
            return cls(certificate, key, callers)
        if certificate is not None or key is not None or callers is not None:
            raise BindingError("give --certificate, --key and --callers-ca together: both sides show a certificate")
        return None

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or newer, in which the caller shows a certificate of the authority.

        Raises:
            BindingError: a file cannot be used, or the certificate has ended.
        """
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.callers)
            ended = self.ends < datetime.now(UTC)
        except (OSError, ValueError) as error:
            files = f"{self.certificate}, {self.key}, {self.callers}"
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no certificate"
            raise BindingError(
                f"{files}: cannot be used for TLS ({why}); see that key and certificate belong together"
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
        context.options |= ssl.OP_NO_RENEGOTIATION
        if ended:
            raise BindingError(f"{self.certificate}: {_ENDED}")
        return context

    @property
    def ends(self) -> datetime:
        """When the service's certificate ends; OSError or ValueError where it cannot be read."""
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).not_valid_after_utc

    @property
    def seen(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when one of the files does."""
        return tuple(_seen(path) for path in (self.certificate, self.key, self.callers))


@dataclass(frozen=True)
class Binding:
    """A place to listen at: the path of a Unix socket, or an address and a port, with `tls` where it is not our own."""

    path: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    tls: TlsFiles | None = None

    @classmethod
    def parse(cls, text: str, tls: TlsFiles | None = None) -> Binding:
        """`unix:PATH`, `127.0.0.1:PORT`, or with TLS any `ADDRESS:PORT`.

        Raises:
            BindingError: it is none of them.
        """
        if text.startswith(_UNIX):
            if tls is not None:
                raise BindingError(f"{text}: a Unix socket needs no TLS; leave the certificate out")
            path = Path(os.path.abspath(text.removeprefix(_UNIX)))
            if text == _UNIX or len(os.fsencode(path)) > _LONGEST:
                raise BindingError(f"{text}: a socket's path has 1 to {_LONGEST} bytes; choose a shorter one")
            return cls(path=path)
        found = _PLACE.fullmatch(text)
        if found is None or int(found[3]) > 65535:
            raise BindingError("listen at unix:PATH, 127.0.0.1:PORT or, with TLS, ADDRESS:PORT")
        host = found[1] or found[2]
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise BindingError(f"{text}: give an address in digits; a name may come to mean another one") from None
        if tls is None and not address.is_loopback:
            fix = "give --certificate, --key and --callers-ca, or listen at 127.0.0.1"
            raise BindingError(f"{text}: others reach this address, so both sides need certificates; {fix}")
        return cls(host=host, port=int(found[3]), tls=tls)

    @contextmanager
    def opened(self) -> Iterator[socket.socket]:
        """The socket, listening; at the end it is closed, and its path is taken away.

        Raises:
            BindingError: the port is taken, another process serves the socket, or the place cannot be used.
        """
        if self.path is None:
            with self._open_port() as found:
                yield found
            return
        found, own = self._open_path(self.path)
        try:
            with found:
                yield found
        finally:
            own.remove()

    def _open_port(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        found = socket.socket(family)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((self.host, self.port))
            found.listen(_BACKLOG)
        except OSError as error:
            found.close()
            if error.errno == errno.EADDRINUSE:
                what = "another process listens there; end it, or choose another port"
            else:
                what = f"nothing can listen there ({error.strerror}); choose an address of this machine"
            raise BindingError(f"{self.host}:{self.port}: {what}") from None
        found.setblocking(False)
        return found

    def shown(self, opened: socket.socket) -> str:
        """The place as a caller names it."""
        if self.path is not None:
            return f"unix:{self.path}"
        host, port = opened.getsockname()[:2]
        return f"{'https' if self.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    def _open_path(self, path: Path) -> tuple[socket.socket, OwnSocket]:
        try:
            folder = path.parent.stat()
        except OSError as error:
            raise BindingError(f"{path.parent}: cannot be used ({error.strerror}); make the folder") from None
        if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
            raise BindingError(f"{path.parent}: anyone may put another socket there; chmod o-w {path.parent}")
        found = socket.socket(socket.AF_UNIX)
        try:
            with one_at_a_time(path.parent):
                _remove_dead(path)
                # For its owner and group, from the first moment on.
                before = os.umask(0o117)
                try:
                    found.bind(str(path))
                finally:
                    os.umask(before)
                own = OwnSocket(path)
                found.listen(_BACKLOG)
        except OSError as error:
            found.close()
            raise BindingError(f"{path}: nothing can listen there ({error.strerror}); choose another place") from None
        except BindingError:
            found.close()
            raise
        found.setblocking(False)
        return found, own


class ReloadedTls:
    """A context of TLS whose files are read again when they change; `warn` hears of those that cannot be used."""

    def __init__(self, files: TlsFiles, warn: Callable[[str], None]) -> None:
        self._files, self._warn, self._seen = files, warn, files.seen
        self.context = files.context()
        self._newest, self._ends = self.context, files.ends
        # Called for each new connection, whether or not it names a server.
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        self.look()
        connection.context = self._newest

    def look(self) -> None:
        """Take up changed files; those that cannot be used are told of, and the ones before stay in use."""
        seen = self._files.seen
        if seen != self._seen:
            self._seen = seen
            try:
                self._newest, self._ends = self._files.context(), self._files.ends
            except (BindingError, OSError, ValueError) as error:
                self._warn(str(error))
        if self._ends < datetime.now(UTC):
            # Once: callers refuse it from now on, and say so by their own words.
            self._warn(f"{self._files.certificate}: {_ENDED}")
            self._ends = datetime.max.replace(tzinfo=UTC)


def subject_of(certificate: bytes) -> str:
    """The subject of a certificate (DER) as RFC 4514 writes it."""
    return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()


def _seen(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ino, status.st_size)


def _remove_dead(path: Path) -> None:
    """Take away a socket that nobody serves; BindingError where somebody does, or where it is another file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindingError(f"{path}: is no socket; choose another place")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass
    raise BindingError(f"{path}: another process serves this socket; end it, or choose another place")
