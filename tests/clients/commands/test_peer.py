"""`sealscore-node peer`: cards are trusted by fingerprints that came over another channel."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from homes import Said, new_node

from sealscore.shared.identity.identity import Identity

Node = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return new_node(tmp_path / "node").folder


def card_file(folder: Path, name: str = "video-1", role: str = "platform") -> tuple[Path, str]:
    home = new_node(folder / name, name, role)
    return home.card_file, home.identity().card.fingerprint


def test_a_card_is_trusted_listed_and_forgotten(node: Node, folder: Path, tmp_path: Path):
    assert "no card is trusted yet" in node("peer", "list", "--home", folder).text
    path, fingerprint = card_file(tmp_path)
    said = node("peer", "trust", path, "--fingerprint", fingerprint, "--home", folder)
    assert said.code == 0
    assert "trusted: video-1" in said.text
    listed = node("peer", "list", "--home", folder)
    assert fingerprint in listed.text
    assert "platform" in listed.text
    assert node("peer", "forget", "video-1", "--home", folder).code == 0
    assert "no card is trusted yet" in node("peer", "list", "--home", folder).text
    said = node("peer", "forget", "video-1", "--home", folder)
    assert (said.code, "no card of 'video-1' is trusted" in said.text) == (2, True)


def test_a_bare_card_on_the_command_line(node: Node, folder: Path):
    card = Identity.generate("server", "server").card
    said = node("peer", "trust", card.text, "--fingerprint", card.fingerprint, "--home", folder)
    assert (said.code, "trusted: server" in said.text) == (0, True)


@pytest.mark.parametrize("typed", ["", "another", "0000 0000 0000 0000"])
def test_a_wrong_fingerprint_trusts_nobody(
    node: Node, folder: Path, tmp_path: Path, typed: str, monkeypatch: pytest.MonkeyPatch
):
    path, _ = card_file(tmp_path)
    said = node("peer", "trust", path, "--fingerprint", typed, "--home", folder)
    assert (said.code, "ask its holder for both again" in said.text) == (2, True)
    assert not (folder / "trust.json").exists()


def test_it_is_asked_for_where_it_is_not_given(
    node: Node, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, fingerprint = card_file(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{fingerprint.upper()}\n"))
    assert node("peer", "trust", path, "--home", folder).code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    said = node("peer", "trust", path, "--home", folder)
    assert (said.code, "interrupted" in said.text) == (130, True)


def test_cards_of_simulations_and_second_cards_are_refused(node: Node, folder: Path):
    card = Identity.simulated(1, "video-1", "platform").card
    said = node("peer", "trust", card.text, "--fingerprint", card.fingerprint, "--home", folder)
    assert (said.code, "one of a simulation" in said.text) == (2, True)
    one, two = (Identity.generate("video-1", "platform").card for _ in range(2))
    assert node("peer", "trust", one.text, "--fingerprint", one.fingerprint, "--home", folder).code == 0
    said = node("peer", "trust", two.text, "--fingerprint", two.fingerprint, "--home", folder)
    assert (said.code, "forget the old one first" in said.text) == (2, True)


@pytest.mark.parametrize("content", [None, b"", b"sealscore-card-1.AAAA", b"\xff"])
def test_what_is_no_card_is_refused(node: Node, folder: Path, tmp_path: Path, content: bytes | None):
    path = tmp_path / "some.txt"
    if content is not None:
        path.write_bytes(content)
    said = node("peer", "trust", path, "--fingerprint", "x", "--home", folder)
    assert said.code == 2
    assert "card" in said.text
