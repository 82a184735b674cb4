"""Which headers are those of an enrolled node."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sealscore.server.deploy.enrolled import enrolled_in

KEY, OTHER = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass
class States:
    """A SuperLink that knows one key."""

    known: bytes = field(default_factory=lambda: pem(KEY))

    def state(self) -> States:
        return self

    def get_node_id_by_public_key(self, key: bytes) -> int | None:
        return 7 if key == self.known else None


def headers(off: float = 0.0, signer: ec.EllipticCurvePrivateKey = KEY, **changed: bytes) -> list[tuple[bytes, bytes]]:
    stamp = (datetime.now(UTC) + timedelta(seconds=off)).isoformat().encode()
    found = {
        b"flwr-public-key": b64encode(pem(KEY)),
        b"flwr-timestamp": stamp,
        b"flwr-signature": b64encode(signer.sign(stamp, ec.ECDSA(hashes.SHA256()))),
    }
    return list((found | {name.replace("_", "-").encode(): value for name, value in changed.items()}).items())


@pytest.fixture
def enrolled() -> Any:
    return enrolled_in(States())  # type: ignore[arg-type]


@pytest.mark.parametrize("off", [0.0, 2.0, -60.0])
def test_a_node_that_signed_the_time(enrolled: Any, off: float):
    assert enrolled(headers(off))


@pytest.mark.parametrize("off", [60.0, -3600.0])
def test_not_one_of_another_time(enrolled: Any, off: float):
    assert not enrolled(headers(off))


def test_not_a_key_that_is_not_enrolled():
    assert not enrolled_in(States(pem(OTHER)))(headers())  # type: ignore[arg-type]


def test_not_the_key_of_one_with_the_signature_of_another(enrolled: Any):
    assert not enrolled(headers(signer=OTHER))


@pytest.mark.parametrize("name", ["flwr_public_key", "flwr_timestamp", "flwr_signature"])
@pytest.mark.parametrize("value", [b"", b"\xff", b"AAAA", b"2026-01-01T00:00:00"])
def test_not_rubbish(enrolled: Any, name: str, value: bytes):
    assert not enrolled(headers(**{name: value}))


def test_not_nothing(enrolled: Any):
    assert not enrolled([])
