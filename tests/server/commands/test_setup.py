"""`sealscore-server init`, `enrol` and `renew`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from homes import Said, new_node, new_server

from sealscore.server.deploy.certificates import AUTHORITY, CERTIFICATE, read_certificate
from sealscore.server.setup.server_dir import ServerDir
from sealscore.shared.identity.enrolment import Enrolment
from sealscore.shared.identity.identity import Identity

Server = Callable[..., Said]


class TestInit:
    def test_makes_a_server_that_works_at_once(self, server: Server, tmp_path: Path):
        said = server("init", "--host", "fed.example.org", "--host", "192.0.2.7", "--home", tmp_path / "s")
        assert said.code == 0
        home = ServerDir(tmp_path / "s")
        assert home.config().hosts == ("fed.example.org", "192.0.2.7")
        assert home.identity().card.fingerprint in said.text
        assert home.card_file.read_text().strip() == home.identity().card.text
        assert set(read_certificate(home.certificates / CERTIFICATE).names) >= {"fed.example.org", "192.0.2.7"}
        for path in [home.folder, *home.folder.rglob("*")]:
            open_to_all = path.name in (AUTHORITY, CERTIFICATE)  # certificates are no secret, and meant to be copied
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o644 if open_to_all else 0o600), path

    def test_twice_is_refused_and_changes_nothing(self, server: Server, tmp_path: Path):
        server("init", "--host", "localhost", "--home", tmp_path)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        said = server("init", "--host", "localhost", "--home", tmp_path)
        assert (said.code, "has a server already" in said.text) == (2, True)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before

    @pytest.mark.parametrize(
        ("arguments", "what"),
        [
            (("--host", "https://fed.example.org"), "without scheme, port or path"),
            (("--host", 'a"b'), "neither a host name nor an IP address"),
            (("--host", "fed.example.org", "--listen", "everywhere"), "an IP address of this machine"),
            ((), "--host"),
        ],
    )
    def test_a_bad_argument_makes_nothing(self, server: Server, tmp_path: Path, arguments: tuple[str], what: str):
        said = server("init", *arguments, "--home", tmp_path / "s")
        assert (said.code, what in said.text) == (2, True)
        assert not (tmp_path / "s").exists()


def test_without_a_server_commands_say_how_to_make_one(server: Server, tmp_path: Path):
    (tmp_path / "like.toml").write_text("")
    for command in (
        ["start"],
        ["renew"],
        ["runs"],
        ["run", "x"],
        ["enrol", "x"],
        ["plan", "list"],
        ["plan", "sign", "x"],
        ["plan", "publish", "x"],
        ["plan", "new", "x", "--like", tmp_path / "like.toml"],
        ["receipts", "export", "-o", tmp_path / "out"],
    ):
        said = server(*command, "--home", tmp_path / "s")
        assert (said.code, "sealscore-server init makes one" in said.text) == (2, True), command


class TestEnrol:
    @pytest.fixture
    def home(self, tmp_path: Path) -> ServerDir:
        return new_server(tmp_path / "server")

    @pytest.fixture
    def card(self, tmp_path: Path) -> Path:
        return new_node(tmp_path / "node").card_file

    def test_registers_the_key_and_keeps_the_card(self, server: Server, control, home: ServerDir, card: Path):
        enrolment = Enrolment.from_text(card.read_text())
        fingerprint = enrolment.card.fingerprint
        said = server("enrol", card, "--fingerprint", fingerprint.lower(), "--home", home.folder)
        assert (said.code, "enrolled: lender-1" in said.text) == (0, True)
        assert control.enrolled == [("lender-1", enrolment.key)]
        assert home.enrolments() == {"lender-1": enrolment}
        # again is no harm
        assert server("enrol", card, "--fingerprint", fingerprint, "--home", home.folder).code == 0

    def test_another_fingerprint_enrols_nobody(self, server: Server, control, home: ServerDir, card: Path):
        said = server("enrol", card, "--fingerprint", "0000", "--home", home.folder)
        assert (said.code, "not the card's fingerprint" in said.text) == (2, True)
        assert (control.enrolled, home.enrolments()) == ([], {})

    def test_a_second_card_of_a_name_is_refused_before_its_key_may_connect(
        self, server: Server, control, home: ServerDir, card: Path, tmp_path: Path
    ):
        home.keep_card(Enrolment.from_text(card.read_text()))
        other = new_node(tmp_path / "other")
        fingerprint = other.identity().card.fingerprint
        said = server("enrol", other.card_file, "--fingerprint", fingerprint, "--home", home.folder)
        assert (said.code, "another card of 'lender-1' is enrolled" in said.text) == (2, True)
        assert control.enrolled == []

    def test_what_is_no_enrolment_is_refused(self, server: Server, control, home: ServerDir, card: Path, tmp_path):
        bare = tmp_path / "bare.txt"
        bare.write_text(card.read_text().splitlines()[0])
        server_card = tmp_path / "server.txt"
        server_card.write_text(Enrolment.of(Identity.generate("server", "server"), "ecdsa-sha2-nistp384 AA").text)
        forged = tmp_path / "forged.txt"
        lines = card.read_text().splitlines()
        forged.write_text("\n".join([lines[0], "ecdsa-sha2-nistp384 AAAA", lines[2]]))
        for path, what in (
            (bare, "this is no enrolment of a node"),
            (forged, "is not signed by the card's holder"),
            (server_card, "is the card of a server"),
            (tmp_path / "none.txt", "no card can be read there"),
        ):
            said = server("enrol", path, "--fingerprint", "x", "--home", home.folder)
            assert (said.code, what in said.text) == (2, True), said.text
        assert control.enrolled == []

    def test_the_server_must_run(self, server: Server, home: ServerDir, card: Path):
        fingerprint = Enrolment.from_text(card.read_text()).card.fingerprint
        said = server("enrol", card, "--fingerprint", fingerprint, "--home", home.folder)
        assert (said.code, "there is no token; start the server once" in said.text) == (1, True)
        assert home.enrolments() == {}


def test_renew_makes_another_certificate_of_the_same_authority(server: Server, tmp_path: Path):
    server("init", "--host", "fed.example.org", "--home", tmp_path)
    before = {name: (tmp_path / "certificates" / name).read_bytes() for name in (AUTHORITY, CERTIFICATE)}
    said = server("renew", "--home", tmp_path)
    assert (said.code, "for fed.example.org" in said.text) == (0, True)
    assert (tmp_path / "certificates" / AUTHORITY).read_bytes() == before[AUTHORITY]
    assert (tmp_path / "certificates" / CERTIFICATE).read_bytes() != before[CERTIFICATE]
