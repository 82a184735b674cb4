"""`sealscore-node platform-api` as an operator starts it: a node's folder, a process, and a lender that scores."""

from __future__ import annotations

import os
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import Authority
from partners import Partners
from service_process import PATIENCE, ServiceProcess

from sealscore.clients.setup.serving_dir import today

pytestmark = pytest.mark.slow


@contextmanager
def started(home: Path, *options: object) -> Iterator[ServiceProcess]:
    """The process, until it has ended well by SIGTERM."""
    service = ServiceProcess("platform-api", home, *options)
    try:
        service.wait()
        yield service
        assert service.end() == 0, service.said()
    finally:
        if service.process.poll() is None:
            service.kill()


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
    with started(home) as service:
        path = service.place.removeprefix("unix:")
        # No node runs beside it, and nobody has agreed yet: the day is charged all the same.
        assert charged(partners, "wallet") == {"lender-1": [str(today())], "lender-2": [str(today())]}
        assert oct(os.stat(path).st_mode & 0o777) in ("0o600", "0o660")
        with service.client(headers=headers) as client:
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
            service.process.send_signal(signal.SIGHUP)
            assert client.get("/readyz").status_code == 200
            partners.good("wallet", "caller", "remove", "back-end")
            assert client.get("/v1/releases").status_code == 401
    assert not os.path.exists(path)


def test_over_a_network_both_sides_show_certificates(partners: Partners):
    partners.prepared()
    home, folder = partners.town.folder / "wallet", partners.town.folder
    authority = Authority(folder / "tls")
    arguments = ["--right", "read", "--subject", "CN=back-end"]
    assert "sealscore" not in partners.good("wallet", "caller", "add", "back-end", *arguments).out
    plain = partners.node("wallet", "platform-api", "--listen", "0.0.0.0:0")
    assert (plain.code, "certificate" in plain.text) == (2, True)
    files = authority.files()
    tls = ["--certificate", str(files.certificate), "--key", str(files.key), "--callers-ca", str(files.callers)]
    with started(home, "--listen", "127.0.0.1:0", *tls) as service:
        place = service.place
        context = ssl.create_default_context(cafile=files.callers)
        with pytest.raises(httpx.TransportError), httpx.Client(verify=context) as nobody:
            nobody.get(f"{place}/v1/releases")
        for name, status in (("back-end", 200), ("stranger", 401)):
            with httpx.Client(verify=authority.client(name)) as client:
                assert client.get(f"{place}/v1/releases").status_code == status
                assert client.post(f"{place}/v1/consents", json={}).status_code == (403 if status == 200 else 401)


def test_a_lenders_node_has_no_such_service(partners: Partners):
    said = partners.node("lender-1", "platform-api")
    assert said.code == 2
