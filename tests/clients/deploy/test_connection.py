"""Each reason why a node cannot reach its server, from servers that have that fault."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.error import ApiErrorCode
from flwr.supercore.primitives.asymmetric import verify_signature

from sealscore.clients.deploy.connection import check_connection
from sealscore.clients.deploy.node_key import make_node_key, read_node_key
from sealscore.server.deploy import certificates
from sealscore.server.deploy.certificates import make_authority, make_server_certificate

WELCOME = (412, {"code": int(ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL)})


class Seen:
    """What the server was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_node_key(tmp_path / "key")
    make_authority(tmp_path / "tls")
    make_server_certificate(tmp_path / "tls", [])
    return tmp_path


@pytest.fixture
def serve(keys: Path) -> Iterator[Callable[..., str]]:
    """Start a server that gives one answer to everything; returns its address."""
    with ExitStack() as stack:

        def started(
            answer: tuple[int, object] = WELCOME, *, tls: bool = True, skew: float = 0.0, seen: Seen | None = None
        ) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    body = self.rfile.read(int(self.headers.get("content-length", 0)))
                    if seen is not None:
                        seen.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                    status, said = answer
                    content = json.dumps(said).encode()
                    self.send_response_only(status)
                    self.send_header("date", formatdate(time.time() + skew, usegmt=True))
                    self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

                def log_message(self, *_: object) -> None:
                    return

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.handle_error = lambda *_: None  # type: ignore[method-assign]
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(keys / "tls" / "server.pem", keys / "tls" / "server.key")
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"127.0.0.1:{server.server_address[1]}"

        yield started


def check(keys: Path, server: str, **more: object) -> tuple[str, str] | None:
    values: dict[str, object] = {"timeout": 5.0} | more
    trouble = check_connection(server, keys / "tls" / "ca.pem", keys / "key", **values)  # type: ignore[arg-type]
    return None if trouble is None else (trouble.code, str(trouble))


def test_a_node_that_may_connect_has_no_trouble(keys: Path, serve: Callable[..., str]):
    seen = Seen()
    assert check(keys, serve(seen=seen)) is None
    ((path, headers, body),) = seen.requests
    assert path == "/v1/fleet/activate-node"
    asked = ActivateNodeRequest.FromString(body)
    assert asked.heartbeat_interval == 0  # no server takes it, so nothing is changed
    public = read_node_key(keys / "key").public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert asked.public_key == pem == b64decode(headers[FLEET_HTTP_PUBLIC_KEY_HEADER.lower()])
    signature = b64decode(headers[FLEET_HTTP_SIGNATURE_HEADER.lower()])
    assert verify_signature(public, headers[TIMESTAMP_HEADER.lower()].encode("ascii"), signature)


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((412, {"code": int(ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED)}), "key", "send the enrolment card"),
        ((401, {"detail": "no"}), "key", "is the key file the one that was enrolled"),
        ((404, {"detail": "no"}), "refused", "no partner port"),
        ((503, "busy"), "refused", "status 503"),
        ((412, "nothing to read"), "refused", "status 412"),
        ((412, {"code": "x"}), "refused", "status 412"),
    ],
)
def test_answers_of_a_server(keys: Path, serve: Callable[..., str], answer: object, code: str, words: str):
    found = check(keys, serve(answer))
    assert found is not None
    assert found[0] == code
    assert words in found[1]


class TestClock:
    @pytest.mark.parametrize(("skew", "way"), [(-60, "ahead of"), (-8, "ahead of"), (60, "behind"), (4000, "behind")])
    @pytest.mark.parametrize("answer", [WELCOME, (401, {"detail": "Invalid SuperNode authentication"})])
    def test_a_clock_that_is_off_is_named_whatever_the_server_says(
        self, keys: Path, serve: Callable[..., str], skew: float, way: str, answer: object
    ):
        found = check(keys, serve(answer, skew=skew))
        assert found is not None
        assert found[0] == "clock"
        assert way in found[1]
        assert "NTP" in found[1]

    @pytest.mark.parametrize("skew", [-2, 0, 2, 20])
    def test_a_little_is_borne(self, keys: Path, serve: Callable[..., str], skew: float):
        assert check(keys, serve(skew=skew)) is None

    def test_the_nodes_own_clock_counts(self, keys: Path, serve: Callable[..., str]):
        found = check(keys, serve(), clock=lambda: time.time() + 61)
        assert found is not None
        assert found[0] == "clock"
        assert "ahead of" in found[1]


class TestCertificates:
    def test_expired(self, keys: Path, serve: Callable[..., str]):
        make_server_certificate(keys / "tls", [], days=1, now=datetime.now(UTC) - timedelta(days=3))
        found = check(keys, serve())
        assert found is not None
        assert found[0] == "expired"
        assert "has expired" in found[1]
        assert "renew" in found[1]

    def test_not_valid_yet(self, keys: Path, serve: Callable[..., str]):
        make_server_certificate(keys / "tls", [], now=datetime.now(UTC) + timedelta(days=3))
        found = check(keys, serve())
        assert found is not None
        assert found[0] == "expired"
        assert "not valid yet" in found[1]

    def test_expired_by_a_wrong_clock_only(self, keys: Path, serve: Callable[..., str]):
        """The server's own date tells that it is this machine's clock that is wrong."""
        make_server_certificate(keys / "tls", [], days=1, now=datetime.now(UTC) - timedelta(days=3))
        found = check(keys, serve(skew=-2.5 * 86_400))
        assert found is not None
        assert found[0] == "clock"
        assert "does not seem valid by it" in found[1]

    def test_another_authority(self, keys: Path, serve: Callable[..., str]):
        server = serve()
        other = make_authority(keys / "other")
        trouble = check_connection(server, other, keys / "key")
        assert trouble is not None
        assert trouble.code == "authority"
        assert str(other) in trouble.text
        assert "fingerprint" in trouble.text

    def test_another_name(self, keys: Path, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(certificates, "_LOCAL", ())
        make_server_certificate(keys / "tls", ["fed.example.org"])
        found = check(keys, serve())
        assert found is not None
        assert found[0] == "name"
        assert "'127.0.0.1'" in found[1]

    def test_no_tls(self, keys: Path, serve: Callable[..., str]):
        found = check(keys, serve(tls=False))
        assert found is not None
        assert found[0] == "no-tls"


class TestReach:
    def test_nobody_listens(self, keys: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            found = check(keys, f"127.0.0.1:{probe.getsockname()[1]}")
        assert found is not None
        assert found[0] == "unreachable"
        assert "refused" in found[1]

    def test_somebody_who_says_nothing(self, keys: Path):
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            found = check(keys, f"127.0.0.1:{mute.getsockname()[1]}", timeout=0.3)
        assert found is not None
        assert found[0] == "unreachable"
        assert "does not answer" in found[1]

    def test_an_address_that_is_none(self, keys: Path):
        found = check(keys, "127.0.0.1:port")
        assert found is not None
        assert found[0] == "unreachable"


class TestProxy:
    @pytest.mark.parametrize("proxy", ["socks5://reader:hunter2@127.0.0.1:1", "ftp://reader:hunter2@127.0.0.1:1"])
    def test_one_that_cannot_be_used_is_named_by_its_variable(
        self, keys: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
    ):
        for name in ("HTTPS_PROXY", "https_proxy", "all_proxy", "NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("ALL_PROXY", proxy)
        found = check(keys, "fed.example.org:9481")
        assert found is not None
        assert found[0] == "unreachable"
        assert "HTTPS_PROXY or ALL_PROXY" in found[1]
        assert "hunter2" not in found[1]


class TestFiles:
    def test_what_nobody_thought_of(self, keys: Path, monkeypatch: pytest.MonkeyPatch):
        def broken(path: Path) -> None:
            raise RuntimeError("unheard-of")

        monkeypatch.setattr("sealscore.clients.deploy.connection.read_node_key", broken)
        found = check(keys, "127.0.0.1:1")
        assert found is not None
        assert found[0] == "files"
        assert "cannot be used (RuntimeError)" in found[1]

    def test_a_missing_key(self, keys: Path):
        (keys / "key").unlink()
        assert check(keys, "127.0.0.1:1") == ("files", f"{keys / 'key'}: cannot be read (No such file or directory)")

    def test_a_missing_authority(self, keys: Path):
        (keys / "tls" / "ca.pem").unlink()
        found = check(keys, "127.0.0.1:1")
        assert found is not None
        assert found[0] == "files"

    def test_no_certificate_in_the_file(self, keys: Path):
        (keys / "tls" / "ca.pem").write_text("x")
        found = check(keys, "127.0.0.1:1")
        assert found is not None
        assert found[0] == "files"
        assert "no certificate" in found[1]

    def test_an_authority_that_has_expired(self, keys: Path):
        old = make_authority(keys / "old", days=1, now=datetime.now(UTC) - timedelta(days=3))
        trouble = check_connection("127.0.0.1:1", old, keys / "key")
        assert trouble is not None
        assert trouble.code == "files"
        assert "authority expired" in trouble.text
