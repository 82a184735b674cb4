"""Certificates as a TLS library takes them, and errors that say what to do."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealscore.server.deploy.certificates import (
    TlsCertificateError,
    make_authority,
    make_server_certificate,
    read_certificate,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_authority(tmp_path)
    make_server_certificate(tmp_path, ["Fed.Example.org", "192.0.2.7", "2001:db8::1"])
    return tmp_path


def loaded(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def handshake(folder: Path, name: str, authority: Path) -> None:
    """A TLS handshake in memory, as a client that looks for `name`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    client = ssl.create_default_context(cafile=str(authority))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=name)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (left, right):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert left.getpeercert()


class TestUse:
    @pytest.mark.parametrize("name", ["fed.example.org", "192.0.2.7", "2001:db8::1", "localhost", "127.0.0.1"])
    def test_a_client_takes_the_server_by_each_of_its_names(self, folder: Path, name: str):
        handshake(folder, name, folder / "ca.pem")

    def test_a_client_takes_no_other_name(self, folder: Path):
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            handshake(folder, "other.example.org", folder / "ca.pem")

    def test_a_client_takes_no_other_authority(self, folder: Path, tmp_path: Path):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(folder, "localhost", make_authority(tmp_path / "other"))

    def test_a_renewed_certificate_is_taken_under_the_same_authority(self, folder: Path):
        before = (folder / "server.pem").read_bytes()
        make_server_certificate(folder, ["fed.example.org"])
        assert (folder / "server.pem").read_bytes() != before
        handshake(folder, "fed.example.org", folder / "ca.pem")


class TestContent:
    def test_authority(self, folder: Path):
        extensions = loaded(folder / "ca.pem").extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        assert basic.critical
        assert (basic.value.ca, basic.value.path_length) == (True, 0)
        assert usage.critical
        assert usage.value.key_cert_sign
        assert not usage.value.digital_signature

    def test_server(self, folder: Path):
        certificate = loaded(folder / "server.pem")
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert isinstance(key.curve, ec.SECP256R1)
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == [
            "192.0.2.7",
            "2001:db8::1",
            "127.0.0.1",
        ]

    def test_keys_are_the_owners_alone(self, folder: Path):
        for name in ("ca.key", "server.key"):
            assert (folder / name).stat().st_mode & 0o777 == 0o600
            assert isinstance(
                serialization.load_pem_private_key((folder / name).read_bytes(), None), ec.EllipticCurvePrivateKey
            )
        assert not list(folder.glob(".*"))


class TestFacts:
    def test_a_certificate_says_who_and_how_long(self, folder: Path):
        now = datetime.now(UTC)
        facts = read_certificate(folder / "server.pem", now + timedelta(days=390))
        assert facts.names == ("fed.example.org", "192.0.2.7", "2001:db8::1", "localhost", "127.0.0.1")
        assert facts.subject == "CN=Fed.Example.org"
        assert 6.9 < facts.days_left < 7.1
        assert not facts.authority
        assert not facts.expired
        assert read_certificate(folder / "server.pem", now + timedelta(days=398)).expired
        assert read_certificate(folder / "ca.pem").authority

    def test_a_server_certificate_does_not_outlive_its_authority(self, tmp_path: Path):
        make_authority(tmp_path, days=10)
        make_server_certificate(tmp_path, [], days=100)
        assert loaded(tmp_path / "server.pem").not_valid_after_utc == loaded(tmp_path / "ca.pem").not_valid_after_utc


class TestErrors:
    def test_an_authority_is_never_overwritten(self, folder: Path):
        before = (folder / "ca.pem").read_bytes()
        with pytest.raises(TlsCertificateError, match="exists already"):
            make_authority(folder)
        assert (folder / "ca.pem").read_bytes() == before

    @pytest.mark.parametrize(
        "name", ["https://fed.example.org", "fed.example.org:443", "a b", "", "300.1.1.1", "-a.org"]
    )
    def test_a_name_that_is_none(self, folder: Path, name: str):
        with pytest.raises(TlsCertificateError, match="neither a host name nor an IP address"):
            make_server_certificate(folder, [name])

    def test_no_authority(self, tmp_path: Path):
        with pytest.raises(TlsCertificateError, match=r"ca\.pem: cannot be read"):
            make_server_certificate(tmp_path, ["localhost"])

    def test_an_expired_authority(self, tmp_path: Path):
        make_authority(tmp_path, days=1, now=datetime.now(UTC) - timedelta(days=2))
        with pytest.raises(TlsCertificateError, match="has expired"):
            make_server_certificate(tmp_path, ["localhost"])

    def test_the_key_of_another_authority(self, folder: Path, tmp_path: Path):
        make_authority(tmp_path / "other")
        (folder / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
        with pytest.raises(TlsCertificateError, match="is not the key of"):
            make_server_certificate(folder, ["localhost"])

    def test_a_file_that_is_no_certificate(self, tmp_path: Path):
        (tmp_path / "x.pem").write_text("x")
        with pytest.raises(TlsCertificateError, match="no certificate"):
            read_certificate(tmp_path / "x.pem")
