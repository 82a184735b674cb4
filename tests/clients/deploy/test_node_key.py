"""The SuperNode's key as Flower takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from flwr.supercore.primitives.asymmetric import uses_nist_ec_curve

from sealscore.clients.deploy.node_key import NodeKeyError, make_node_key, read_node_key


def test_a_key_is_one_that_flower_takes_and_its_owners_alone(tmp_path: Path):
    path = tmp_path / "keys" / "supernode.key"
    line = make_node_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    public = serialization.load_ssh_public_key(line.encode("ascii"))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert uses_nist_ec_curve(public)
    assert public == read_node_key(path).public_key()


def test_a_key_is_never_overwritten(tmp_path: Path):
    path = tmp_path / "key"
    make_node_key(path)
    content = path.read_bytes()
    with pytest.raises(NodeKeyError, match="never overwritten"):
        make_node_key(path)
    assert path.read_bytes() == content


def test_faults_say_what_to_do(tmp_path: Path):
    with pytest.raises(NodeKeyError, match="cannot be read"):
        read_node_key(tmp_path / "none")

    path = tmp_path / "key"
    make_node_key(path)
    path.chmod(0o644)
    with pytest.raises(NodeKeyError, match="chmod 600"):
        read_node_key(path)
    path.chmod(0o600)
    path.write_text("x")
    with pytest.raises(NodeKeyError, match="no key in OpenSSH form"):
        read_node_key(path)
    other = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(
        other.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    )
    with pytest.raises(NodeKeyError, match="no elliptic-curve key"):
        read_node_key(path)
