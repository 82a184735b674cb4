"""A bundle's file is hashed and listed as it is; what could mislead who looks at the list is refused."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.clients.setup import bundle_file
from sealscore.clients.setup.bundle_file import BundledFile, BundleFile, BundleFileError
from sealscore.shared.bundle import courier_app, courier_bundle

CODE = b"print('hello')\n"


def archive(*entries: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, content in entries:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, method
            file.writestr(info, content)
    return made.getvalue()


def read(tmp_path: Path, content: bytes) -> BundleFile:
    path = tmp_path / "app.fab"
    path.write_bytes(content)
    return BundleFile.read(path)


def test_the_projects_own_bundle_is_read_as_it_was_built(tmp_path: Path):
    built = courier_bundle()
    found = read(tmp_path, built.content)
    assert found.sha256 == built.sha256
    names = {file.name for file in found.files}
    assert names - {"pyproject.toml", ".info/CONTENT"} == set(built.files)
    (app,) = (file for file in found.files if file.name == "clients/app.py")
    content = courier_app()["clients/app.py"]
    assert app == BundledFile("clients/app.py", len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_come_by_name_with_size_and_digest(tmp_path: Path, method: int):
    content = archive(("b.py", CODE), ("a/b.py", b""), method=method)
    found = read(tmp_path, content)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert [(file.name, file.size) for file in found.files] == [("a/b.py", 0), ("b.py", len(CODE))]
    assert found.files[1].sha256 == hashlib.sha256(CODE).hexdigest()


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up.py", "a/../../up.py", "a//b.py", "./a.py", "a\\b.py", "c:a.py", "a/", "", "a.py\0.txt"],
)
def test_a_name_that_is_no_plain_path_is_refused(tmp_path: Path, name: str):
    with pytest.raises(BundleFileError):
        read(tmp_path, archive((name, CODE)))


def test_two_files_of_one_name_are_refused(tmp_path: Path):
    for second in ("a.py", "A.py"):
        with pytest.warns(UserWarning, match="Duplicate") if second == "a.py" else pytest.MonkeyPatch.context():
            content = archive(("a.py", CODE), (second, b"other"))
        with pytest.raises(BundleFileError, match="two entries"):
            read(tmp_path, content)


@pytest.mark.parametrize("content", [b"", b"PK", b"plain text", CODE * 1000, archive()])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes):
    with pytest.raises(BundleFileError, match="sealscore-server bundle"):
        read(tmp_path, content)


def test_what_is_too_large_is_refused_before_it_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundle_file, "MOST_UNPACKED", 10_000)
    bomb = archive(("a.py", b"0" * 20_000), method=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1000
    with pytest.raises(BundleFileError, match="unpacks to more"):
        read(tmp_path, bomb)
    monkeypatch.setattr(bundle_file, "MOST_FILES", 2)
    with pytest.raises(BundleFileError, match="3 files"):
        read(tmp_path, archive(*((f"{at}.py", CODE) for at in range(3))))
    monkeypatch.setattr(bundle_file, "MOST_BYTES", 100)
    with pytest.raises(BundleFileError, match="more than 100 bytes"):
        read(tmp_path, archive(("a.py", b"0" * 200)))


def test_a_size_that_the_archive_claims_is_not_believed(tmp_path: Path):
    """The central directory says 3 bytes; what is there decides, or it is damaged."""
    content = bytearray(archive(("a.py", CODE)))
    at = content.rfind(b"PK\1\2")
    content[at + 20 : at + 28] = struct.pack("<II", 3, 3)
    with pytest.raises(BundleFileError):
        read(tmp_path, bytes(content))


def test_a_missing_file_is_bad_input(tmp_path: Path):
    with pytest.raises(BundleFileError, match="cannot be read"):
        BundleFile.read(tmp_path / "none.fab")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_bundle_is_an_error_and_no_crash(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    content = bytearray(archive(("a.py", CODE), ("b/c.py", CODE * 20), method=zipfile.ZIP_DEFLATED))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "app.fab"
    path.write_bytes(bytes(content))
    try:
        found = BundleFile.read(path)
    except BundleFileError:
        return
    assert found.sha256 == hashlib.sha256(bytes(content)).hexdigest()
