"""A server's folder: its key, the enrolments of partners, signed plans."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from homes import Town, new_node, new_server

from sealscore.server.commands.setup import TEMPLATE
from sealscore.server.commands.terminal import superlink_of
from sealscore.server.setup.server_dir import ServerConfig, ServerError
from sealscore.shared.identity.enrolment import Enrolment
from sealscore.shared.identity.identity import Card, CardError
from sealscore.shared.plan.errors import PlanError

WHOLE = """
hosts = ["fed.example.org", "192.0.2.7"]
partner_host = "0.0.0.0"
partner_port = 9481
control_port = 9480
body_limit_mib = 16
"""


def load(folder: Path, text: str) -> ServerConfig:
    (folder / "server.toml").write_text(text, encoding="utf-8")
    return ServerConfig.load(folder / "server.toml")


class TestConfig:
    def test_every_key_is_read_and_is_in_the_template(self, tmp_path: Path):
        config = load(tmp_path, WHOLE)
        assert config.model_dump() == {
            "hosts": ("fed.example.org", "192.0.2.7"),
            "partner_host": "0.0.0.0",
            "partner_port": 9481,
            "control_port": 9480,
            "body_limit_mib": 16,
        }
        assert set(re.findall(r"^(\w+) =", TEMPLATE, re.MULTILINE)) == set(ServerConfig.model_fields)
        made = load(tmp_path, TEMPLATE.format(hosts='"fed.example.org", "192.0.2.7"', listen="0.0.0.0"))
        assert made == config

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("partner_port = 9481", "partner_port = 443", "partner_port = 443"),
            ("body_limit_mib = 16", "body_limit_mib = 65", "body_limit_mib = 65"),
            ("hosts =", "host =", "did you mean 'hosts'?"),
            ("hosts =", "#", "hosts: missing"),
            ("control_port = 9480", "control_port", "not valid TOML"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, old: str, new: str, what: str):
        with pytest.raises(PlanError) as caught:
            load(tmp_path, WHOLE.replace(old, new, 1))
        assert what in str(caught.value)

    def test_a_missing_file_is_explained(self, tmp_path: Path):
        with pytest.raises(PlanError, match="sealscore-server init makes one"):
            ServerConfig.load(tmp_path / "server.toml")


def test_the_key_is_its_owners_alone_and_made_once(tmp_path: Path):
    home = new_server(tmp_path / "server")
    assert (tmp_path / "server").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "server" / "keys" / "identity").stat().st_mode & 0o777 == 0o600
    card = Card.from_text(home.card_file.read_text(encoding="ascii"))
    assert (card, card.role) == (home.identity().card, "server")
    with pytest.raises(ServerError, match="has a server already"):
        home.create()
    assert home.identity().card == card


class TestEnrolments:
    def test_are_kept_by_name(self, town: Town):
        assert list(town.server.enrolments()) == ["lender-1", "lender-2", "lender-3"]
        assert town.server.enrolments()["lender-2"].card == town["lender-2"].identity().card

    def test_another_card_of_a_name_does_not_take_its_place(self, town: Town, tmp_path: Path):
        known = town.server.enrolments()["lender-1"]
        other = Enrolment.from_text(new_node(tmp_path / "other", "lender-1").card_file.read_text())
        with pytest.raises(ServerError, match="move it away to replace it"):
            town.server.keep_card(other)
        town.server.keep_card(known)
        assert town.server.enrolments()["lender-1"] == known

    def test_a_file_that_is_none_is_named(self, town: Town):
        (town.server.cards / "x.txt").write_text("x")
        with pytest.raises(CardError, match=r"x\.txt: this is no enrolment"):
            town.server.enrolments()


def test_plans_run_in_folders_of_their_own(town: Town):
    assert town.server.signed_plans() == {"small": town.plan}
    other = town.signed(seed=8)
    assert town.server.run_folder(other) != town.server.run_folder(town.plan)
    assert town.server.run_folder(town.plan).name == f"small-{town.plan.hash[:12]}"


def test_the_superlink_is_reached_as_the_configuration_says(tmp_path: Path):
    home = new_server(tmp_path)
    home.config_file.write_text(WHOLE, encoding="utf-8")
    settings = superlink_of(home)
    assert (settings.partner_host, settings.partner_port, settings.control_port) == ("0.0.0.0", 9481, 9480)
    assert (settings.body_limit, settings.folder) == (16 * 2**20, tmp_path / "superlink")
