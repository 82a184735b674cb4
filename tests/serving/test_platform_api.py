"""`sealscore-node platform-api` as an operator starts it: a node's folder, a process, and a lender that scores."""

from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from partners import Partners
from paths import ROOT

from sealscore.clients.setup.serving_dir import today

pytestmark = pytest.mark.slow
PATIENCE = 120.0


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The process, until it has ended well by SIGTERM."""
    command = [sys.executable, "-m", "sealscore.clients.cli", "platform-api", "--home", str(home), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def place_of(process: subprocess.Popen[str]) -> str:
    """Where it says that it listens."""
    assert process.stderr is not None
    for line in process.stderr:
        if "listens at " in line:
            return line.rsplit("listens at ", 1)[1].strip()
    raise AssertionError("it ended before it listened")


def charged(partners: Partners, name: str) -> dict[str, list[str]]:
    """The days that a platform charged, by lender."""
    with closing(partners.town.ledger(name)) as ledger:
        (release,) = ledger.state.serving.live
        return {lender: [day.day for day in days] for lender, days in release.days.items()}


def consent(release: str, person: str, key: str, **more: Any) -> dict[str, Any]:
    given = {"key": key, "person": person, "lender": "lender-1", "release": release}
    return given | {"text": "5e" * 32, "language": "zh", **more}


def test_from_a_consent_over_http_to_a_score_and_a_withdrawal(partners: Partners):
    partners.prepared()
    home, (person, row) = partners.town.folder / "wallet", partners.shared_person("wallet")
    token = partners.good("wallet", "caller", "add", "back-end", "--right", "consent", "--right", "read")
    assert "back-end" in partners.good("wallet", "caller", "list").text
    headers = {"authorization": f"Bearer {token.out.strip()}"}
    with started(home) as process:
        path = place_of(process).removeprefix("unix:")
        # No node runs beside it, and nobody has agreed yet: the day is charged all the same.
        assert charged(partners, "wallet") == {"lender-1": [str(today())], "lender-2": [str(today())]}
        assert oct(os.stat(path).st_mode & 0o777) in ("0o600", "0o660")
        with httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://node", headers=headers) as client:
            (release,) = client.get("/v1/releases").json()["releases"]
            asked = {"person": person, "release": release["release"]}
            factors = client.post("/v1/factors", json=asked).json()
            assert factors["lowered"] or factors["raised"]
            # What the command shows is the same.
            shown = partners.good("wallet", "token", "factors", "first", "--person", person)
            assert shown.out.count('"code"') == len(factors["lowered"]) + len(factors["raised"])
            answer = client.post("/v1/consents", json=consent(release["release"], person, "order-1"))
            assert answer.status_code == 200, answer.text
            scored = partners.scored(partners.town.application(person, row, tokens=[answer.json()["token"]]))
            assert [one["status"] for one in scored["signals"] if one.get("platform") == "wallet"] == ["used"]
            # The command makes a token of the same files meanwhile, and the level is charged once.
            assert partners.token("wallet", person, "order-2").code == 0
            told = client.post("/v1/told", json={"person": person}).json()["told"]
            assert [one["bits"] for one in told] == [told[0]["bits"], 0]
            assert partners.good("wallet", "token", "told", "--person", person).out.count("\n") == 2
            withdrawn = client.post("/v1/withdrawals", json={"person": person, "lender": "lender-1"}).json()
            assert withdrawn["tokens"] == 2
            again = client.post("/v1/consents", json=consent(release["release"], person, "order-3"))
            assert (again.status_code, again.json()["code"]) == (403, "no-consent")
            # Another creator's consent goes out of the table: the service sees it by itself.
            other = next(one for one in partners.town.records()["wallet"].person if one != person)
            table = home / "table.csv"
            lines = table.read_text("utf-8").splitlines()
            table.write_text("\n".join(line for line in lines if other not in line) + "\n", "utf-8")
            end, answers = time.monotonic() + PATIENCE, list[int]()
            while time.monotonic() < end and (not answers or answers[-1] != 403):
                asked = consent(release["release"], other, f"key-{len(answers)}")
                answers.append(client.post("/v1/consents", json=asked).status_code)
                time.sleep(0.2)
            assert answers[-1] == 403
            # SIGHUP has the data read again, and ends nothing.
            process.send_signal(signal.SIGHUP)
            assert client.get("/readyz").status_code == 200
            partners.good("wallet", "caller", "remove", "back-end")
            assert client.get("/v1/releases").status_code == 401
    assert not os.path.exists(path)


def test_over_a_network_both_sides_show_certificates(partners: Partners):
    partners.prepared()
    home, folder = partners.town.folder / "wallet", partners.town.folder
    authority = authority_files(folder)
    subject = "CN=back-end"
    arguments = ["--right", "read", "--subject", subject]
    assert "sealscore" not in partners.good("wallet", "caller", "add", "back-end", *arguments).out
    plain = partners.node("wallet", "platform-api", "--listen", "0.0.0.0:0")
    assert (plain.code, "certificate" in plain.text) == (2, True)
    files = [str(folder / name) for name in ("node.pem", "node.key", "ca.pem")]
    tls = ["--certificate", files[0], "--key", files[1], "--callers-ca", files[2]]
    with started(home, "--listen", "127.0.0.1:0", *tls) as process:
        place = place_of(process)
        context = ssl.create_default_context(cafile=files[2])
        with pytest.raises(httpx.TransportError), httpx.Client(verify=context) as nobody:
            nobody.get(f"{place}/v1/releases")
        for name, status in (("back-end", 200), ("stranger", 401)):
            context = ssl.create_default_context(cafile=files[2])
            certificate(folder, authority, name)
            context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
            with httpx.Client(verify=context) as client:
                assert client.get(f"{place}/v1/releases").status_code == status
                assert client.post(f"{place}/v1/consents", json={}).status_code == (403 if status == 200 else 401)


def test_a_lenders_node_has_no_such_service(partners: Partners):
    said = partners.node("lender-1", "platform-api")
    assert said.code == 2


Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def authority_files(folder: Path) -> Authority:
    """An authority in ca.pem, and the certificate of 127.0.0.1 in node.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = built("authority", "authority", key.public_key(), key, x509.BasicConstraints(ca=True, path_length=0))
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    certificate(
        folder, (made, key), "node", x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    )
    return made, key


def certificate(folder: Path, authority: Authority, name: str, *extensions: x509.ExtensionType) -> None:
    """NAME.pem and NAME.key."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = built(name, "authority", key.public_key(), authority[1], *extensions)
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def built(
    subject: str,
    issuer: str,
    public: ec.EllipticCurvePublicKey,
    by: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
) -> x509.Certificate:
    """A certificate of two days."""
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(by, hashes.SHA256())
