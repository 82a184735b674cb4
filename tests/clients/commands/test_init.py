"""`sealscore-node init`: a folder that works at once, for its owner alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from homes import Said

from sealscore.clients.deploy.node_key import read_node_key
from sealscore.clients.setup.config import NodeConfig
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.server.deploy.certificates import AUTHORITY, make_authority
from sealscore.shared.identity.enrolment import Enrolment

Node = Callable[..., Said]


def made(node: Node, folder: Path, role: str = "lender", *more: object) -> Said:
    return node("init", "--name", "north", "--role", role, "--home", folder, *more)


@pytest.mark.parametrize("role", ["lender", "platform"])
def test_what_it_writes_is_its_owners_alone_and_loads(node: Node, tmp_path: Path, role: str):
    said = made(node, tmp_path / "node", role, "--server", "fed.example.org:9481")
    assert said.code == 0
    for path in [tmp_path / "node", *(tmp_path / "node").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    home = NodeDir(tmp_path / "node")
    config = home.config()
    assert (config.node.name, config.node.role, config.server.address) == ("north", role, "fed.example.org:9481")
    assert (config.budget.label_epsilon is None) == (role == "platform")
    assert home.identity().card.fingerprint in said.text
    assert (home.identity().name, home.identity().role) == ("north", role)


def test_the_card_enrols_the_nodes_own_key(node: Node, tmp_path: Path):
    made(node, tmp_path)
    enrolment = Enrolment.from_text((tmp_path / "card.txt").read_text())
    assert enrolment.card == NodeDir(tmp_path).identity().card
    own = read_node_key(tmp_path / "keys" / "supernode").public_key()
    assert load_ssh_public_key(enrolment.key.encode("ascii")) == own


def test_twice_is_refused_and_changes_nothing(node: Node, tmp_path: Path):
    made(node, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    said = made(node, tmp_path)
    assert (said.code, "has a node already" in said.text) == (2, True)
    # also where the configuration was taken away, keys are never overwritten
    (tmp_path / "node.toml").unlink()
    said = made(node, tmp_path)
    assert (said.code, "has a node already" in said.text) == (2, True)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after | {tmp_path / "node.toml": before[tmp_path / "node.toml"]} == before


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--name", "North", "--role", "lender"), "name = 'North'"),
        (("--name", 'a" \n[x]', "--role", "lender"), "name = "),
        (("--name", "server", "--role", "lender"), "no party may have the server's name"),
        (("--name", "north", "--role", "server"), "a node is a lender or a platform"),
        (("--name", "north", "--role", "lender", "--server", "fed.example.org"), "address = 'fed.example.org'"),
        (("--name", "north", "--role", "lender", "--server", 'x"y:9481'), "address = "),
        (("--name", "north"), "--role"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_made(node: Node, tmp_path: Path, arguments: tuple[str], what: str):
    said = node("init", "--home", tmp_path / "node", *arguments)
    assert said.code == 2
    assert what in said.text
    assert not (tmp_path / "node").exists()


def test_the_authority_is_copied_where_it_is_one(node: Node, tmp_path: Path):
    authority = make_authority(tmp_path / "server")
    assert authority.name == AUTHORITY
    assert made(node, tmp_path / "node", "lender", "--authority", authority).code == 0
    assert (tmp_path / "node" / "ca.pem").read_bytes() == authority.read_bytes()
    for path, what in ((tmp_path / "no.pem", "cannot be read"), (tmp_path / "node" / "card.txt", "no certificate")):
        said = made(node, tmp_path / "other", "lender", "--authority", path)
        assert (said.code, what in said.text) == (2, True)
        assert not (tmp_path / "other").exists()


def test_keys_are_put_under_a_passphrase(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEALSCORE_PASSPHRASE", "correct horse")
    assert made(node, tmp_path).code == 0
    monkeypatch.delenv("SEALSCORE_PASSPHRASE")
    said = node("status", "--home", tmp_path)
    assert said.code == 2
    assert "is under a passphrase, and none was given" in said.text


def test_without_a_node_commands_say_how_to_make_one(node: Node, tmp_path: Path):
    for command in (["status"], ["check"], ["ledger"], ["budget"], ["doctor"], ["peer", "list"], ["plan", "list"]):
        said = node(*command, "--home", tmp_path)
        assert said.code == 2
        assert "there is no node here; sealscore-node init makes one" in said.text
    assert list(tmp_path.iterdir()) == []


def test_the_template_loads_for_a_name_of_every_kind(node: Node):
    for at, name in enumerate(("a", "0", "a.b_c-9", "a" * 63)):
        # The longest name has a socket in a folder with a short name alone.
        with tempfile.TemporaryDirectory(prefix="n", dir="/tmp") as short:
            home = Path(short) / str(at)
            assert node("init", "--name", name, "--role", "lender", "--home", home).code == 0
            assert NodeConfig.load(home / "node.toml").data.id == name


@pytest.mark.parametrize("name", ["with a blank", "it's", 'a "quoted" one', "\u6570\u636e", "a" * 100])
def test_a_folder_in_which_no_socket_can_be_is_refused_before_anything_is_made(node: Node, tmp_path: Path, name: str):
    said = made(node, tmp_path / name)
    works = name == "\u6570\u636e"
    assert (said.code == 0) == works
    assert (tmp_path / name).exists() == works
