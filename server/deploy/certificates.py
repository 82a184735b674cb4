"""The federation's certificate authority and the server's TLS certificate (X.509, ECDSA on P-256).

Partners trust the authority's certificate, which reaches them with the server's card; so the server's own
certificate can be renewed without a word to them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealscore.shared.files import write_whole

AUTHORITY, AUTHORITY_KEY = "ca.pem", "ca.key"
CERTIFICATE, KEY = "server.pem", "server.key"
AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
_LOCAL = ("localhost", "127.0.0.1")  # the server's own processes speak to it by these
_BEFORE = timedelta(hours=1)  # a partner's clock may be a little behind
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


class TlsCertificateError(ValueError):
    """A certificate that cannot be made, read or used; the text names the file and the fix."""


@dataclass(frozen=True)
class CertificateFacts:
    """What a certificate file says. Times are in UTC, `days_left` is negative once it has expired."""

    path: Path
    subject: str
    names: tuple[str, ...]
    authority: bool
    not_after: datetime
    days_left: float
    fingerprint: str

    @property
    def expired(self) -> bool:
        return self.days_left < 0


def make_authority(
    folder: Path, *, name: str = "Sealscore federation", days: int = AUTHORITY_DAYS, now: datetime | None = None
) -> Path:
    """Make a certificate authority, `ca.pem` and `ca.key` in `folder`; returns the path of the certificate.

    Raises:
        CertificateError: there is one already (it is never overwritten, since all partners trust it), or the name
            has no place in a certificate.
    """
    if not 1 <= len(name) <= 64:
        raise TlsCertificateError(f"authority name {name!r}: 1 to 64 characters are allowed")
    for taken in (folder / AUTHORITY, folder / AUTHORITY_KEY):
        if taken.exists():
            raise TlsCertificateError(f"{taken}: exists already, and partners trust it; move it away to start over")
    moment = _moment(now)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key.public_key(), moment, moment + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder / AUTHORITY_KEY, _key_bytes(key), 0o600)
    return _write(folder / AUTHORITY, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def make_server_certificate(
    folder: Path, names: Sequence[str], *, days: int = SERVER_DAYS, now: datetime | None = None
) -> Path:
    """Make the server's certificate, `server.pem` and `server.key` in `folder`, signed by the authority there.

    `names` are the host names and IP addresses by which partners reach the server; localhost and 127.0.0.1 are
    always among them. A certificate that is there is replaced, which is how it is renewed; a running server reads
    the new one when it is started again. It never outlives the authority. Returns the path of the certificate.

    Raises:
        CertificateError: a name is neither a host name nor an IP address, or the authority is missing, damaged or
            expired.
    """
    moment = _moment(now)
    alternatives = [_alternative(name) for name in dict.fromkeys([*(name.lower() for name in names), *_LOCAL])]
    issuer = _load(folder / AUTHORITY)
    issuer_key = _load_key(folder / AUTHORITY_KEY)
    if issuer_key.public_key() != issuer.public_key():
        raise TlsCertificateError(
            f"{folder / AUTHORITY_KEY}: is not the key of {AUTHORITY}; restore both from one copy"
        )
    end = min(moment + timedelta(days=days), issuer.not_valid_after_utc)
    if end <= moment:
        raise TlsCertificateError(
            f"{folder / AUTHORITY}: has expired; make a new authority and give it to all partners"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (names[0] if names else _LOCAL[0])[:64])])
    certificate = (
        _builder(issuer.subject, subject, key.public_key(), moment, end)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    _write(folder / KEY, _key_bytes(key), 0o600)
    return _write(folder / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def check_names(names: Sequence[str]) -> None:
    """CertificateError where one of the names is neither a host name nor an IP address."""
    for name in names:
        _alternative(name.lower())


def read_certificate(path: Path, now: datetime | None = None) -> CertificateFacts:
    """What the (first) certificate in a PEM file says.

    Raises:
        CertificateError: the file is missing or contains no certificate.
    """
    certificate = _load(path)
    left = certificate.not_valid_after_utc - _moment(now)
    return CertificateFacts(
        path=path,
        subject=certificate.subject.rfc4514_string(),
        names=_names(certificate),
        authority=_is_authority(certificate),
        not_after=certificate.not_valid_after_utc,
        days_left=left.total_seconds() / 86_400,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(begin, end) - _BEFORE)
        .not_valid_after(end)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    """An address as an address: written as a host name it would not be recognised."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not _HOST.fullmatch(name) or name.replace(".", "").isdigit():
            raise TlsCertificateError(
                f"{name!r} is neither a host name nor an IP address; give it without scheme, port or path, "
                "such as fed.example.org or 192.0.2.7"
            ) from None
        return x509.DNSName(name)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in found)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise TlsCertificateError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise TlsCertificateError(f"{path}: contains no certificate in PEM form") from None


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise TlsCertificateError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError):
        raise TlsCertificateError(f"{path}: contains no private key in PEM form without a passphrase") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TlsCertificateError(f"{path}: is no elliptic-curve key")
    return key


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, content, mode)
    return path


def _moment(now: datetime | None) -> datetime:
    return (now or datetime.now(UTC)).replace(microsecond=0)
