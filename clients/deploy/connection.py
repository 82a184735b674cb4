"""Why a node cannot reach its server: one question, asked as the SuperNode would ask it, and one answer in words.

A SuperNode that is turned away ends without a reason (exit code 0 for a wrong clock or an unknown key alike). So
the node asks first: the request to come online, signed with its key, with a heartbeat that no server accepts. The
server looks at certificate, clock, signature and enrolment in this order, and changes nothing.
"""

from __future__ import annotations

import json
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.error import ApiErrorCode

from sealscore.clients.deploy.node_key import NodeKeyError, read_node_key

# The last four are of a SuperNode alone: another process has its port, it cannot be started, ends again and again, or
# hears nothing of a server that can be asked.
Code = Literal[
    "files",
    "unreachable",
    "no-tls",
    "expired",
    "authority",
    "name",
    "clock",
    "key",
    "refused",
    "port",
    "start",
    "restarting",
    "silent",
]

AHEAD, BEHIND = 4.0, 30.0  # seconds; Flower bears 5 ahead and 305 behind, seals and plans want better
_PATH = "/v1/fleet/activate-node"
_EXPIRED, _NOT_YET = 10, 9
_NAMES = frozenset({62, 63, 64})  # OpenSSL: host name, mail address, IP address do not match


@dataclass(frozen=True)
class Trouble:
    """What is in the way, by code for a program and in words with the fix for the operator."""

    code: Code
    text: str

    def __str__(self) -> str:
        return self.text


def check_connection(
    server: str, authority: Path, key: Path, *, clock: Callable[[], float] = time.time, timeout: float = 10.0
) -> Trouble | None:
    """Ask the server at `server` (host:port) whether this node may connect; None when it may.

    `authority` is the file of the server's certificate authority, `key` the SuperNode's key. `clock` gives this
    machine's time in seconds since 1970. It is an extra connection and does not disturb a SuperNode that is online.
    """
    try:
        node_key = read_node_key(key)
        trust = _trust(authority, clock())
    except (NodeKeyError, _AuthorityError) as error:
        return Trouble("files", str(error))
    except Exception as error:
        return Trouble("files", f"{authority} or {key} cannot be used ({type(error).__name__})")
    try:
        return _asked(server, authority, trust, node_key, clock, timeout)
    except Exception as error:
        # The proxy that the environment names is what else there is to go wrong. Its URL may contain a password, so
        # the text of the error is withheld.
        return Trouble("unreachable", f"{server} cannot be asked ({type(error).__name__}); {_PROXY}")


def _asked(
    server: str,
    authority: Path,
    trust: ssl.SSLContext,
    node_key: ec.EllipticCurvePrivateKey,
    clock: Callable[[], float],
    timeout: float,
) -> Trouble | None:
    try:
        asked = clock()
        answer = _ask(server, trust, node_key, asked, timeout)
        took = clock() - asked
    except httpx.TimeoutException:
        return Trouble("unreachable", f"{server} does not answer within {timeout:g} s; {_REACH}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _transport_trouble(server, authority, error, clock, timeout)
    return _clock_trouble(answer.headers.get("date"), asked + took / 2) or _answer_trouble(server, answer)


_REACH = "check the address in node.toml, the firewall, and that the server is started"
_PROXY = (
    "where HTTPS_PROXY or ALL_PROXY is set in the node's environment (in capitals or not), it must be the URL of an "
    "HTTP proxy, http://HOST:PORT; socks5:// is none. NO_PROXY names the hosts that need none"
)


class _AuthorityError(ValueError):
    pass


def _trust(authority: Path, now: float) -> ssl.SSLContext:
    try:
        content = authority.read_bytes()
        certificate = x509.load_pem_x509_certificate(content)
    except OSError as error:
        raise _AuthorityError(f"{authority}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise _AuthorityError(f"{authority}: contains no certificate; ask the server's operator for the file") from None
    if certificate.not_valid_after_utc.timestamp() < now:
        raise _AuthorityError(
            f"{authority}: the certificate authority expired on {certificate.not_valid_after_utc:%Y-%m-%d}; "
            "ask the server's operator for the new one"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=content.decode("ascii", "ignore"))
    return context


def _ask(
    server: str, trust: ssl.SSLContext, key: ec.EllipticCurvePrivateKey, now: float, timeout: float
) -> httpx.Response:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    stamp = datetime.fromtimestamp(now, UTC).isoformat()
    signature = key.sign(stamp.encode("ascii"), ec.ECDSA(hashes.SHA256()))
    headers = {
        "content-type": "application/protobuf",
        "accept": "application/protobuf",
        FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(public).decode("ascii"),
        TIMESTAMP_HEADER: stamp,
        FLEET_HTTP_SIGNATURE_HEADER: b64encode(signature).decode("ascii"),
    }
    body = ActivateNodeRequest(public_key=public, heartbeat_interval=0).SerializeToString()
    return httpx.post(f"https://{server}{_PATH}", headers=headers, content=body, verify=trust, timeout=timeout)


def _answer_trouble(server: str, answer: httpx.Response) -> Trouble | None:
    code = _error_code(answer)
    if code == ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL or answer.status_code == 200:
        return None
    if code == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED:
        return Trouble(
            "key",
            f"{server} does not know this node's key; send the enrolment card to the server's operator, who enrols it",
        )
    if answer.status_code == 401:
        return Trouble("key", f"{server} refuses this node's signature; is the key file the one that was enrolled?")
    if answer.status_code in (404, 405):
        return Trouble("refused", f"{server} is no partner port of a Sealscore server; check the port in node.toml")
    return Trouble("refused", f"{server} answers with status {answer.status_code}; ask its operator to look at its log")


def _error_code(answer: httpx.Response) -> int | None:
    try:
        code = json.loads(answer.text)["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, int) else None


def _clock_trouble(date: str | None, now: float) -> Trouble | None:
    """The server's clock is the common one: what it dates its answer with has whole seconds."""
    if (served := _seconds(date)) is None:
        return None
    ahead = now - (served + 0.5)
    if -BEHIND <= ahead <= AHEAD:
        return None
    way = "ahead of" if ahead > 0 else "behind"
    return Trouble(
        "clock",
        f"this machine's clock is {abs(ahead):.0f} s {way} the server's; set it by NTP (timedatectl set-ntp true)",
    )


def _seconds(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _transport_trouble(
    server: str, authority: Path, error: Exception, clock: Callable[[], float], timeout: float
) -> Trouble:
    fault = _tls_fault(error)
    if isinstance(fault, ssl.SSLCertVerificationError):
        number = fault.verify_code
        if number in (_EXPIRED, _NOT_YET):
            return _validity_trouble(server, number, clock, timeout)
        if number in _NAMES:
            name = server.rpartition(":")[0]
            return Trouble(
                "name",
                f"the certificate of {server} is for other names than {name!r}; use one of its names, or ask the "
                "server's operator to make it again with this one",
            )
        return Trouble(
            "authority",
            f"the certificate of {server} is not signed by the authority in {authority} ({fault.verify_message}); ask "
            "the server's operator for the file, and compare its fingerprint over another channel before you use it",
        )
    if fault is not None:
        return Trouble(
            "no-tls", f"{server} does not speak TLS as expected ({fault.reason}); check the port in node.toml"
        )
    return Trouble("unreachable", f"{server} cannot be reached ({_last(error)}); {_REACH}")


def _validity_trouble(server: str, number: int, clock: Callable[[], float], timeout: float) -> Trouble:
    """An expired certificate, or a clock by which it seems so; the server's own date is a hint and no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        answer = httpx.post(f"https://{server}{_PATH}", verify=context, timeout=timeout)
        if (wrong := _clock_trouble(answer.headers.get("date"), clock())) is not None:
            return Trouble("clock", f"{wrong.text}; the server's certificate does not seem valid by it")
    except httpx.HTTPError:
        pass
    state = "has expired" if number == _EXPIRED else "is not valid yet"
    return Trouble("expired", f"the certificate of {server} {state}; ask the server's operator to renew it")


def _tls_fault(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _last(error: BaseException) -> str:
    """The innermost cause, which is the operating system's own word."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return str(error) or type(error).__name__
