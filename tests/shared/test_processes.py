"""Watched processes: started again, held back while something is in the way, ended with what they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from paths import ROOT
from processes import alive

from sealscore.shared.processes import QUIET, Watched


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    with ExitStack() as stack:

        def made(script: str, **options: object) -> Watched:
            values = {
                "environment": {**os.environ, **QUIET},
                "folder": tmp_path,
                "log": tmp_path / "log",
                "waits": (0.02,),
            }
            watched = Watched("child", [sys.executable, "-c", script], **(values | options))  # type: ignore[arg-type]
            stack.callback(watched.stop)
            return watched

        yield made


SLEEP = "import time; print('here', flush=True); time.sleep(60)"


def test_a_process_that_is_killed_is_started_again(watch):
    told: list[str] = []
    child = watch(SLEEP, notice=told.append)
    child.start()
    assert until(lambda: child.pid is not None)
    first = child.pid
    os.kill(first, signal.SIGKILL)
    assert until(lambda: child.pid not in (None, first))
    assert child.exits[0].code == -signal.SIGKILL
    assert told[0].startswith("child ended (signal 9)")


def test_an_exit_without_a_fault_is_started_again_too(watch):
    child = watch("print('done')")
    child.start()
    assert until(lambda: len(child.exits) >= 2)
    assert {ended.code for ended in child.exits} == {0}


def test_without_restart_it_runs_once(watch):
    child = watch("raise SystemExit(3)", restart=False)
    child.start()
    assert until(lambda: bool(child.exits))
    time.sleep(0.1)
    assert [ended.code for ended in child.exits] == [3]


def test_it_waits_for_what_is_in_the_way_and_says_it_once(watch):
    told: list[str] = []
    asked: list[int] = []

    def check() -> str | None:
        asked.append(1)
        return "no key" if len(asked) < 4 else None

    child = watch(SLEEP, check=check, notice=told.append)
    child.start()
    assert until(lambda: child.pid is not None)
    assert told == ["child is not started: no key"]
    assert child.hindrance is None


def test_a_check_that_fails_is_a_fault_too_and_is_asked_again(watch):
    told: list[str] = []
    asked: list[int] = []

    def check() -> str | None:
        asked.append(1)
        if len(asked) < 4:
            raise ImportError("no module for socks5")
        return None

    child = watch(SLEEP, check=check, notice=told.append)
    child.start()
    assert until(lambda: child.pid is not None)
    assert told == ["child is not started: what is in its way cannot be looked at (ImportError: no module for socks5)"]
    assert until(lambda: child.hindrance is None)


def test_a_process_that_cannot_be_started_is_tried_again(watch, tmp_path: Path):
    told: list[str] = []
    tried = tmp_path / "folder"
    child = watch(SLEEP, log=tried / "log", notice=told.append)
    child.start()
    assert until(lambda: bool(told))
    time.sleep(0.1)  # several more attempts, which are not told again
    (text,) = told
    assert text.startswith("child is not started: it cannot be run (FileNotFoundError")
    assert child.hindrance is not None
    tried.mkdir()
    assert until(lambda: child.pid is not None)
    assert child.hindrance is None


def test_a_listener_that_fails_does_not_end_the_watch(watch):
    def notice(text: str) -> None:
        raise OSError("no room")

    child = watch("raise SystemExit(1)", notice=notice)
    child.start()
    assert until(lambda: len(child.exits) >= 2)


def test_stop_ends_the_process_and_what_it_started(watch, tmp_path: Path):
    script = (
        "import subprocess, sys, time\n"
        "grand = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('grand', 'w').write(str(grand.pid))\n"
        "time.sleep(60)"
    )
    child = watch(script)
    child.start()
    assert until(lambda: (tmp_path / "grand").exists() and (tmp_path / "grand").read_text() != "")
    grand, pid = int((tmp_path / "grand").read_text()), child.pid
    assert alive(grand)
    child.stop()
    assert child.pid is None
    assert until(lambda: not alive(grand) and not alive(pid))
    time.sleep(0.1)
    assert len(child.exits) == 1


def test_one_that_does_not_hear_is_killed(watch):
    child = watch(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
        patience=0.2,
    )
    child.start()
    assert until(lambda: "deaf" in child.tail())
    child.stop()
    assert child.exits[0].code == -signal.SIGKILL


def test_files_are_the_owners_alone_and_the_log_is_told(watch, tmp_path: Path):
    child = watch("open('made', 'w').close(); print('a line', flush=True); import time; time.sleep(60)")
    child.start()
    assert until(lambda: child.tail() == "a line")
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_long_log_is_moved_away(watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sealscore.shared.processes._LOG_LIMIT", 10)
    (tmp_path / "log").write_text("x" * 11)
    child = watch(SLEEP)
    child.start()
    assert until(lambda: child.tail() == "here")
    assert (tmp_path / "log.1").read_text() == "x" * 11


def test_a_log_is_cut_while_the_process_runs(watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sealscore.shared.processes._LOG_LIMIT", 1000)
    monkeypatch.setattr("sealscore.shared.processes._LOG_EVERY", 0.02)
    script = (
        "import os, time\n"
        "for n in range(100):\n    print(f'line {n:03}', 'x' * 20, flush=True)\n"
        "while not os.path.exists('go'):\n    time.sleep(0.01)\n"
        "print('after', flush=True); time.sleep(60)"
    )
    child = watch(script)
    child.start()
    log, kept = tmp_path / "log", tmp_path / "log.1"
    assert until(lambda: kept.exists() and log.stat().st_size < 1000 and "line 099" in kept.read_text() + child.tail())
    first = child.pid
    (tmp_path / "go").touch()
    assert until(lambda: child.tail().endswith("after"))
    assert b"\0" not in log.read_bytes()  # it was written at the new end, without a gap
    assert kept.stat().st_mode & 0o777 == 0o600
    assert child.pid == first


def test_a_log_that_cannot_be_kept_stays(watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sealscore.shared.processes._LOG_LIMIT", 10)
    monkeypatch.setattr("sealscore.shared.processes._LOG_EVERY", 0.02)
    (tmp_path / "log.1").mkdir()
    child = watch("print('a long line of words', flush=True); import time; time.sleep(60)")
    child.start()
    assert until(lambda: child.tail() == "a long line of words")
    time.sleep(0.1)
    assert child.tail() == "a long line of words"
    (tmp_path / "log.1").rmdir()
    assert until(lambda: child.tail() == "")
    assert (tmp_path / "log.1").read_text() == "a long line of words\n"


def test_a_child_follows_its_parent(tmp_path: Path):
    """The launchers end when what watches them is killed, so that nothing is left that nobody watches."""
    root = ROOT
    child = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "import os, time\nfrom sealscore.shared.processes import follow_parent\n"
        "follow_parent(os.getppid(), 0.05)\nopen('child', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    parent = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=tmp_path)
    try:
        assert until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text() != "")
        pid = int((tmp_path / "child").read_text())
        assert alive(pid)
    finally:
        process.kill()
        process.wait()
    assert until(lambda: not alive(pid))
