"""An authority of certificates for tests of TLS in which both sides show one."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sealscore.clients.http.binding import TlsFiles


class Authority:
    """Makes certificates in a folder: of a service at 127.0.0.1, and of its callers."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {folder.name}")])
        self.certificate = self._signed(self._name, self._key, timedelta(days=1), authority=True)
        (folder / "authority.pem").write_bytes(self.certificate)

    def files(self, ends: timedelta = timedelta(days=1)) -> TlsFiles:
        """Files of a service, with a new certificate and key; the authority of its callers is this one."""
        found = TlsFiles(self._folder / "service.pem", self._folder / "service.key", self._folder / "callers.pem")
        if ends < timedelta():
            found = TlsFiles(self._folder / "ended.pem", self._folder / "ended.key", self._folder / "callers.pem")
        found.callers.write_bytes(self.certificate)
        self._pair("127.0.0.1", found.certificate, found.key, ends)
        return found

    def client(
        self, name: str, ends: timedelta = timedelta(days=1), trusted: Authority | None = None
    ) -> ssl.SSLContext:
        """What a caller with a certificate of this authority connects with; it trusts services of `trusted`."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        self._pair(name, certificate, key, ends)
        context = ssl.create_default_context(cadata=(trusted or self).certificate.decode())
        context.load_cert_chain(certificate, key)
        # In TLS 1.3 a caller hears of its refusal with the first answer only.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _pair(self, name: str, certificate: Path, key: Path, ends: timedelta) -> None:
        own = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        certificate.write_bytes(self._signed(subject, own, ends))
        key.write_bytes(own.private_bytes(encoding, form, serialization.NoEncryption()))

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ends: timedelta, authority: bool = False
    ) -> bytes:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        )
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
