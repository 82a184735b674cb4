"""What may run, and that a check cannot be led past the bytes that then run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flwr.supernode.runtime.run_clientapp  # noqa: F401
import pytest
from disk import no_room_for
from flwr.app import Error

from sealscore.clients.deploy import executor
from sealscore.clients.deploy.executor import (
    PUBLIC_FAULT,
    PUBLIC_REASON,
    BundleRefused,
    record_refusal,
    require_allowed,
)
from sealscore.clients.deploy.pinning import ALLOWED, REFUSALS, allow, refusals

RUNTIME: Any = sys.modules["flwr.supernode.runtime.run_clientapp"]


def bundle(text: str = "x = 1\n") -> bytes:
    """A bundle as far as the check looks: its description says who it is."""
    description = '[project]\nname = "app"\nversion = "1.0"\n[tool.flwr.app]\npublisher = "sealscore"\n'
    description += '[tool.flwr.app.components]\nserverapp = "a:app"\nclientapp = "a:app"\n'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pyproject.toml", description)
        archive.writestr("a.py", text)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class TestList:
    def test_a_listed_bundle_may_run_and_another_may_not(self, tmp_path: Path):
        good, other = sha256(b"good"), sha256(b"other")
        path = allow(tmp_path, {good: "plan spring"})
        assert path == tmp_path / ALLOWED
        assert path.stat().st_mode & 0o777 == 0o600
        require_allowed(good, path)
        with pytest.raises(BundleRefused) as caught:
            require_allowed(other, path)
        assert str(caught.value) == PUBLIC_REASON
        assert other in caught.value.reason

    def test_taking_back_needs_no_restart(self, tmp_path: Path):
        digest = sha256(b"good")
        path = allow(tmp_path, {digest: "plan"})
        require_allowed(digest, path)
        allow(tmp_path, {})
        with pytest.raises(BundleRefused):
            require_allowed(digest, path)

    def test_a_word_cannot_smuggle_a_line(self, tmp_path: Path):
        other = sha256(b"other")
        path = allow(tmp_path, {sha256(b"good"): f"plan\n{other}"})
        with pytest.raises(BundleRefused):
            require_allowed(other, path)

    def test_a_hash_that_is_none(self, tmp_path: Path):
        for text in ("", "x" * 64, "A" * 64, "0" * 63):
            with pytest.raises(ValueError, match="64 digits"):
                allow(tmp_path, {text: "plan"})

    @pytest.mark.parametrize("fault", ["missing", "open", "damaged", "binary"])
    def test_a_list_that_cannot_be_trusted_allows_nothing(self, tmp_path: Path, fault: str):
        digest = sha256(b"good")
        path = allow(tmp_path, {digest: "plan"})
        if fault == "missing":
            path.unlink()
        elif fault == "open":
            path.chmod(0o660)
        elif fault == "damaged":
            path.write_text(f"{digest}\nnot a hash\n")
        else:
            path.write_bytes(b"\xff\xfe" + digest.encode())
        with pytest.raises(BundleRefused):
            require_allowed(digest, path)

    def test_a_line_that_a_full_disk_has_cut_off_is_passed_by(self, tmp_path: Path):
        record_refusal(tmp_path / REFUSALS, BundleRefused("the first"), run=7)
        with (tmp_path / REFUSALS).open("ab") as file:
            file.write(b'{"at": 17, "reason": "the se\n')
            file.write(b'{"at": 1' + b"0" * 400 + b', "reason": "", "run": Infinity}\n')
        record_refusal(tmp_path / REFUSALS, BundleRefused("the third"), run=8)
        assert [refusal.run for refusal in refusals(tmp_path)] == [7, 8]

    def test_a_list_that_cannot_be_written_stays_if_it_allows_no_more(self, tmp_path: Path):
        one, two = sha256(b"one"), sha256(b"two")
        path = allow(tmp_path, {one: "plan"})
        with no_room_for(ALLOWED):
            with pytest.raises(OSError, match="No space left"):
                allow(tmp_path, {one: "plan", two: "plan"})
            require_allowed(one, path)
            with pytest.raises(OSError, match="No space left"):
                allow(tmp_path, {two: "plan"})
        with pytest.raises(BundleRefused):
            require_allowed(one, path)

    def test_the_operator_sees_what_was_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        assert refusals(tmp_path) == []
        record_refusal(tmp_path / REFUSALS, BundleRefused("bundle ab is refused: not approved"), run=7)
        record_refusal(tmp_path / REFUSALS, BundleRefused("another"), run=8)
        found = refusals(tmp_path)
        assert [(refusal.reason, refusal.run) for refusal in found] == [
            ("bundle ab is refused: not approved", 7),
            ("another", 8),
        ]
        assert "sealscore: bundle ab is refused" in capsys.readouterr().err
        assert stat.S_IMODE((tmp_path / REFUSALS).stat().st_mode) == 0o600


class TestProcess:
    """The check in the process that runs the bundle, with what a server may send."""

    @pytest.fixture
    def start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Run the guarded steps on what the SuperNode hands out; returns what was unpacked."""
        unpacked: list[bytes] = []

        def begin(content: Any, **named: str) -> list[bytes]:
            run = SimpleNamespace(run_id=1, fab_id="sealscore/app", fab_version="1.0")
            fab = SimpleNamespace(content=content, hash_str=sha256(bytes(content)))
            for name, value in named.items():
                setattr(fab if name == "hash_str" else run, name, value)
            monkeypatch.setattr(RUNTIME, "pull_task_input", lambda client: ("message", "context", run, fab))
            monkeypatch.setattr(RUNTIME, "install_from_fab", lambda content, **_: unpacked.append(content))
            monkeypatch.setattr(RUNTIME, "Error", Error)
            executor._guard(tmp_path / ALLOWED, tmp_path / REFUSALS)
            *_, given = RUNTIME.pull_task_input(None)
            RUNTIME.install_from_fab(given.content, skip_prompt=True)
            return unpacked

        begin.unpacked = unpacked  # type: ignore[attr-defined]
        return begin

    def test_the_very_bytes_that_were_checked_are_unpacked(self, start, tmp_path: Path):
        content = bundle()
        allow(tmp_path, {sha256(content): "plan"})
        (unpacked,) = start(content)
        assert unpacked is content

    def test_other_bytes_are_not_unpacked(self, start, tmp_path: Path):
        allow(tmp_path, {sha256(bundle()): "plan"})
        with pytest.raises(BundleRefused, match=PUBLIC_REASON):
            start(bundle("x = 2\n"))
        assert start.unpacked == []
        (entry,) = refusals(tmp_path)
        assert sha256(bundle("x = 2\n")) in entry.reason

    def test_the_hash_that_the_server_states_counts_for_nothing(self, start, tmp_path: Path):
        allow(tmp_path, {sha256(bundle()): "plan"})
        with pytest.raises(BundleRefused):
            start(bundle("x = 2\n"), hash_str=sha256(bundle()))
        assert start.unpacked == []

    @pytest.mark.parametrize(
        "named",
        [
            {"hash_str": "0" * 64},
            {"fab_id": "other/app"},
            {"fab_version": "2.0"},
            {"fab_version": "/../../elsewhere"},
        ],
    )
    def test_an_allowed_bundle_under_another_name_would_load_other_code(self, start, tmp_path: Path, named):
        """Flower makes the path of the code from these, so they could lead away from what was checked."""
        content = bundle()
        allow(tmp_path, {sha256(content): "plan"})
        with pytest.raises(BundleRefused):
            start(content, **named)
        assert start.unpacked == []

    def test_bytes_that_could_change_after_the_check_are_no_bundle(self, start, tmp_path: Path):
        content = bundle()
        allow(tmp_path, {sha256(content): "plan"})
        with pytest.raises(BundleRefused):
            start(bytearray(content))
        assert start.unpacked == []

    def test_what_goes_wrong_in_unpacking_stays_in_the_log(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        """Flower sends the text of what is raised to the server, which learns no path from it."""
        content = bundle()
        allow(tmp_path, {sha256(content): "plan"})

        def unpack(content: bytes, **_: object) -> None:
            raise OSError(28, "No space left on device", "/home/smith/node/app")

        guarded(monkeypatch, tmp_path, content, unpack)
        with pytest.raises(BundleRefused) as caught:
            RUNTIME.install_from_fab(content)
        assert str(caught.value) == PUBLIC_REASON
        assert "/home/smith/node/app" in capsys.readouterr().err

    def test_a_refusal_that_cannot_be_noted_is_one_all_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / REFUSALS).symlink_to("/dev/full")
        allow(tmp_path, {})
        guarded(monkeypatch, tmp_path, bundle(), lambda content, **_: None)
        with pytest.raises(BundleRefused) as caught:
            RUNTIME.install_from_fab(bundle())
        assert str(caught.value) == PUBLIC_REASON

    def test_a_log_that_cannot_be_written_does_not_let_a_bundle_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        allow(tmp_path, {})
        unpacked: list[bytes] = []
        guarded(monkeypatch, tmp_path, bundle(), lambda content, **_: unpacked.append(content))
        with open("/dev/full", "wb", buffering=0) as full:
            monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(full, write_through=True))
            with pytest.raises(BundleRefused):
                RUNTIME.install_from_fab(bundle())
        assert unpacked == []

    @pytest.mark.parametrize(
        ("raised", "public"),
        [
            (OSError(13, "Permission denied", "/home/smith/x"), PUBLIC_FAULT),
            (RuntimeError("bank-a at db.intern"), PUBLIC_FAULT),
            (BundleRefused("plan spring was revoked"), PUBLIC_REASON),
        ],
    )
    def test_no_error_that_flower_makes_of_an_exception_holds_its_text(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, public: str
    ):
        guarded(monkeypatch, tmp_path, bundle(), lambda content, **_: None)
        made = RUNTIME.Error(code=2, reason=f"{type(raised)}:<'{raised}'>")
        assert (made.code, made.reason) == (2, public)


def guarded(monkeypatch: pytest.MonkeyPatch, folder: Path, content: bytes, unpack: Any) -> None:
    """Put the guard before a function that unpacks, and have the SuperNode hand out the bundle."""
    run = SimpleNamespace(run_id=1, fab_id="sealscore/app", fab_version="1.0")
    fab = SimpleNamespace(content=content, hash_str=sha256(content))
    monkeypatch.setattr(RUNTIME, "pull_task_input", lambda client: ("message", "context", run, fab))
    monkeypatch.setattr(RUNTIME, "install_from_fab", unpack)
    monkeypatch.setattr(RUNTIME, "Error", Error)
    executor._guard(folder / ALLOWED, folder / REFUSALS)
    RUNTIME.pull_task_input(None)


def test_the_executor_imports_nothing_of_the_project():
    """What it had imported under the names of the bundle's packages would run in their place."""
    script = f"import runpy, sys, json; runpy.run_path({executor.__file__!r}); print(json.dumps(sorted(sys.modules)))"
    found = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True).stdout
    tops = {name.split(".")[0] for name in json.loads(found)}
    assert not tops & {"clients", "server", "shared", "simulations"}


def test_bundles_are_unpacked_in_memory_unless_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(executor, "_SHARED_MEMORY", str(tmp_path))
    monkeypatch.delenv("TMPDIR", raising=False)
    assert executor._memory() == str(tmp_path)
    monkeypatch.setattr(executor, "_SHARED_MEMORY", str(tmp_path / "absent"))
    assert executor._memory() is None
    monkeypatch.setattr(executor, "_SHARED_MEMORY", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert executor._memory() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up as Linux has them")
def test_what_a_killed_process_had_unpacked_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(executor, "_SHARED_MEMORY", str(tmp_path))
    monkeypatch.delenv("TMPDIR", raising=False)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = [f"sealscore-app-{ended.pid}-x", f"sealscore-app-{os.getpid()}-y", "sealscore-app-odd-z", "another"]
    for name in names:
        (tmp_path / name / "apps").mkdir(parents=True)
    executor._sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
