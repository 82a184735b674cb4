"""Key files: for the owner alone, never overwritten, and every fault says which it is and how to fix it."""

import json
import os

import pytest

from sealscore.shared.identity.keyfile import KeyFileError, _check, read_key, write_key

ABOUT, SECRET = {"name": "bank-a"}, bytes(range(32))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.key"


@pytest.mark.parametrize("passphrase", [None, "long enough"])
def test_a_secret_comes_back(path, passphrase):
    write_key(path, "kind", ABOUT, SECRET, passphrase)
    assert read_key(path, "kind", passphrase) == (ABOUT, SECRET)


def test_under_a_passphrase_the_secret_is_not_in_the_file(path):
    write_key(path, "kind", ABOUT, SECRET, "long enough")
    assert SECRET.hex() not in path.read_text()
    assert SECRET not in path.read_bytes()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_mode_is_the_owners_whatever_the_umask(path, mask):
    old = os.umask(mask)
    try:
        write_key(path, "kind", ABOUT, SECRET, None)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o700, 0o666])
def test_a_file_that_others_can_read_is_refused_with_the_fix(path, mode):
    write_key(path, "kind", ABOUT, SECRET, None)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"{mode:04o}.*chmod 600 {path}"):
        read_key(path, "kind", None)
    path.chmod(0o600)
    assert read_key(path, "kind", None) == (ABOUT, SECRET)


def test_a_file_is_never_overwritten(path):
    write_key(path, "kind", ABOUT, SECRET, None)
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_key(path, "kind", ABOUT, bytes(32), None)
    assert read_key(path, "kind", None)[1] == SECRET


def test_wrong_passphrases_are_told_apart_from_damage(path):
    write_key(path, "kind", ABOUT, SECRET, "long enough")
    with pytest.raises(KeyFileError, match="passphrase is wrong"):
        read_key(path, "kind", "another")
    with pytest.raises(KeyFileError, match="none was given"):
        read_key(path, "kind", None)
    content = json.loads(path.read_text())
    content["data"] = content["data"][:-1] + ("0" if content["data"][-1] != "0" else "1")
    path.write_text(json.dumps(content))
    with pytest.raises(KeyFileError, match="damaged"):
        read_key(path, "kind", "long enough")


def test_a_passphrase_for_a_file_without_one_and_an_empty_one_are_refused(path):
    with pytest.raises(KeyFileError, match="empty"):
        write_key(path, "kind", ABOUT, SECRET, "")
    write_key(path, "kind", ABOUT, SECRET, None)
    with pytest.raises(KeyFileError, match="not under a passphrase"):
        read_key(path, "kind", "long enough")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b"null", b"[" * 50_000, b"x" * 100_000])
def test_what_is_no_key_file_is_refused(path, content):
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match=f"{path}.*damaged"):
        read_key(path, "kind", None)


def test_every_byte_of_a_file_counts(path):
    write_key(path, "kind", ABOUT, SECRET, None)
    whole = json.loads(path.read_text())
    for name in whole:
        spoiled = {**whole, name: "x"}
        path.write_text(json.dumps(spoiled))
        with pytest.raises(KeyFileError):
            read_key(path, "kind", None)
    path.write_text(json.dumps(whole)[: len(json.dumps(whole)) // 2])
    with pytest.raises(KeyFileError, match="damaged"):
        read_key(path, "kind", None)


def test_missing_files_folders_and_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, told in (("none", "no such key file"), (".", "no regular file"), ("pipe", "no regular file")):
        with pytest.raises(KeyFileError, match=told):
            read_key(tmp_path / name, "kind", None)
    with pytest.raises(KeyFileError, match="cannot be written"):
        write_key(tmp_path / "none" / "some.key", "kind", ABOUT, SECRET, None)


@pytest.mark.parametrize(
    "changed", [{"salt": 0.0}, {"salt": "00"}, {"about": {"name": None}}, {"kind": 1}, {"about": []}, {"data": None}]
)
@pytest.mark.parametrize("passphrase", [None, "long enough"])
def test_a_file_of_another_form_is_damaged_even_if_its_digest_is_right(path, changed, passphrase):
    write_key(path, "kind", ABOUT, SECRET, None)
    content = json.loads(path.read_text()) | changed
    path.write_text(json.dumps(content | {"check": _check(content)}))
    with pytest.raises(KeyFileError, match="is damaged or no key file"):
        read_key(path, "kind", passphrase)
