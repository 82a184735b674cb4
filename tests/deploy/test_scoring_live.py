"""A federation that scores, each part a process: SuperLink, nodes, platform API, scorer, and curl in the place of the
systems that call them. Its plan was carried out before, in this process.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deployment import free_ports, until
from operators import NODE, PATIENCE, SERVER, Operator, end_all, start_server, verify
from serving_town import ServingTown, new_serving_town

from sealscore.server.deploy.certificates import make_authority, make_server_certificate
from sealscore.shared.bundle import courier_bundle
from sealscore.shared.identity.enrolment import Enrolment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process lists as Linux has them"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here"),
]
NODES = ("lender-1", "video-1", "wallet")


class Operators:
    """Who types what at the server and at three nodes of a town."""

    def __init__(self, town: ServingTown) -> None:
        self.town = town
        self.server = Operator(SERVER, town.server.folder)
        self.nodes = {name: Operator(NODE, town.folder / name) for name in NODES}

    def begin(self) -> None:
        """Certificates and addresses for the loopback interface; server and nodes run, and nodes are enrolled."""
        control, partner, *supernodes = free_ports(2 + len(NODES))
        certificates = self.town.server.certificates
        make_authority(certificates)
        make_server_certificate(certificates, ["localhost"])
        text = f'hosts = ["localhost"]\npartner_port = {partner}\ncontrol_port = {control}\n'
        self.town.server.config_file.write_text(text, "utf-8")
        start_server(self.server)
        for port, node in zip(supernodes, self.nodes.values(), strict=True):
            card = node.home / "card.txt"
            fingerprint = Enrolment.from_text(card.read_text("ascii")).card.fingerprint
            self.server.type("enrol", str(card), "--fingerprint", fingerprint)
            shutil.copy(certificates / "ca.pem", node.home / "ca.pem")
            node.write(
                "node.toml",
                address=f'address = "127.0.0.1:19" -> address = "localhost:{partner}"',
                port=f"port = 9494 -> port = {port}",
                poll="poll = 0.5 -> poll = 0.2",
            )

    def connected(self) -> None:
        """Start the nodes, and wait until the server has answered all."""
        for node in self.nodes.values():
            node.begin("start")
        for node in self.nodes.values():
            node.type("status", "--wait", str(int(PATIENCE)))

    def end(self) -> None:
        """End every process."""
        end_all(self.nodes.values())
        self.server.end()


@pytest.fixture
def operators() -> Iterator[Operators]:
    town = new_serving_town(bundle=courier_bundle().sha256)
    # The path of a socket is short.
    short = Path(tempfile.mkdtemp(prefix="seal-"))
    town.folder.rename(short / "town")
    found = Operators(ServingTown(short / "town", town.plan))
    try:
        yield found
    finally:
        found.end()
        shutil.rmtree(short, ignore_errors=True)


def curl(socket: Path, token: str, path: str, body: Any) -> tuple[int, Any]:
    """Status and answer of a POST on a Unix socket."""
    words = ["curl", "--silent", "--show-error", "--unix-socket", str(socket), "--write-out", "\n%{http_code}"]
    words += ["-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json", "-d", "@-"]
    done = subprocess.run(
        [*words, f"http://node{path}"], input=json.dumps(body), capture_output=True, text=True, timeout=60, check=True
    )
    answer, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(answer)


def caller(node: Operator, *words: str) -> str:
    """A new caller's token."""
    (token,) = (line for line in node.type(*words).splitlines() if line.startswith("sealscore-caller"))
    return token.strip()


def statuses(answer: Any) -> dict[str, str]:
    return {one["kind"]: one["status"] for one in answer["signals"]}


def test_agreed_scored_withdrawn_and_scored_again_over_http_and_flower(operators: Operators):
    server, nodes, town = operators.server, operators.nodes, operators.town
    lender, wallet = nodes["lender-1"], nodes["wallet"]
    operators.begin()
    server.type("release", "new", town.plan.name, "--name", "first", "--lender", "lender-1")
    folder = str(town.server.releases / "first")
    for node in nodes.values():
        node.type("release", "approve", folder, "--yes", "--unranked")
    lender.type("release", "use", "first")
    operators.connected()

    # Keys and empty batches; one platform is away.
    said = server.type("relay", code=1)
    assert "video-2 did not take part" in " ".join(said.split())

    scorer_socket, api_socket = lender.home / "s.sock", wallet.home / "a.sock"
    score_token = caller(lender, "caller", "add", "loans", "--right", "score", "--right", "replay")
    consent_token = caller(wallet, "caller", "add", "app", "--right", "consent", "--right", "read")
    scorer = lender.begin("serve", "--listen", f"unix:{scorer_socket}")
    api = wallet.begin("platform-api", "--listen", f"unix:{api_socket}")
    assert until(lambda: scorer_socket.exists() and api_socket.exists(), PATIENCE), scorer.said + api.said
    assert until(lambda: "listens" in api.said, PATIENCE), api.said

    records = town.records()
    row, person = next(
        (at, one) for at, one in enumerate(records["lender-1"].person) if one in records["wallet"].person
    )
    release = town.release().hash
    consent = {
        "key": "order-1",
        "person": person,
        "lender": "lender-1",
        "release": release,
        "kinds": [],
        "text": hashlib.sha256(b"I agree that my channel is scored.").hexdigest(),
        "language": "en",
    }
    status, factors = curl(api_socket, consent_token, "/v1/factors", {"release": release, "person": person})
    assert (status, set(factors)) == (200, {"lowered", "raised"})
    status, given = curl(api_socket, consent_token, "/v1/consents", consent)
    assert status == 200, given
    assert len(base64.urlsafe_b64decode(given["token"])) > 1000
    application = town.application(person, row, tokens=[given["token"]])
    status, answer = curl(scorer_socket, score_token, "/v1/scores", application)
    assert status == 200, answer
    assert statuses(answer) == {"video": "none", "wallet": "used"}
    assert curl(scorer_socket, score_token, f"/v1/replay/{answer['score_id']}", {})[0] == 200

    # Withdrawn at the platform; known at the lender by the next relay.
    body = {"person": person, "lender": "lender-1"}
    assert curl(api_socket, consent_token, "/v1/withdrawals", body) == (200, {"lender": "lender-1", "tokens": 1})
    assert curl(api_socket, consent_token, "/v1/consents", consent)[0] == 409
    again = application | {"product": "other"}
    assert statuses(curl(scorer_socket, score_token, "/v1/scores", again)[1])["wallet"] == "used"
    made_today(town, "wallet")
    server.type("relay", code=1)
    later = curl(scorer_socket, score_token, "/v1/scores", application | {"product": "third"})[1]
    assert statuses(later)["wallet"] == "withdrawn"
    _, told = curl(api_socket, consent_token, "/v1/told", {"person": person})
    assert [one["withdrawn"] for one in told["told"]] == [str(datetime.now(UTC).date())]

    # Server and platforms away: scoring does not notice.
    end_all((server, wallet, nodes["video-1"]))
    status, _ = curl(scorer_socket, score_token, "/v1/scores", town.application(person, row, application_id="late"))
    assert status == 200
    assert "0 differ" in lender.type("replay")
    anchors = town.folder / "anchors.jsonl"
    shutil.copy(town.server.receipts, anchors)
    for name in NODES:
        found = verify(town.node(name).ledger_file, anchors)
        assert (found["verified"], found["findings"]) == (True, [])


def made_today(town: ServingTown, platform: str) -> None:
    """Let the batch of today be one of yesterday, as if the day had changed since the first relay."""
    with sqlite3.connect(town.node(platform).folder / "serving.db") as store:
        store.execute("UPDATE batches SET day = date(day, '-1 day')")
