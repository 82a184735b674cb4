"""Files are whole: a process that is killed at any step leaves the old content or the new, and so does a full disk."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.files import appending, create, name_once, replacing, write_whole

OLD, NEW = b"old" * 5000, b"new" * 50_000
STEPS = ("open", "fdopen", "fchmod", "fsync", "replace", "link", "unlink", "close")
KILLED = 77


@contextmanager
def at_each_step(do: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    """Call `do` with the name and the arguments of each of the system's steps before it is taken."""

    def watched(name: str) -> Callable[..., Any]:
        taken = getattr(os, name)

        def step(*given: Any, **named: Any) -> Any:
            do(name, given)
            return taken(*given, **named)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, watched(name))
        yield


def killed_at(step: int, act: Callable[[], None]) -> bool:
    """Act in a copy of this process, which ends without a word before the step of that number; whether it did."""
    if (pid := os.fork()) == 0:
        left = iter(range(step))
        with at_each_step(lambda *_: os._exit(KILLED) if next(left, None) is None else None):
            act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == KILLED


def in_halves(path: Path) -> None:
    with replacing(path) as file:
        file.write(NEW[: len(NEW) // 2])
        file.flush()
        os.close(os.open("/dev/null", os.O_RDONLY))  # steps at which the first half may be on the disk
        file.write(NEW[len(NEW) // 2 :])


@pytest.mark.parametrize(
    ("act", "before", "least"),
    [
        (lambda path: write_whole(path, NEW), OLD, 6),
        (lambda path: write_whole(path, NEW), None, 6),
        (lambda path: write_whole(path, NEW, 0o600, durable=False), OLD, 4),
        (in_halves, OLD, 8),
        (lambda path: create(path, NEW), None, 8),
    ],
)
def test_a_kill_at_any_step_leaves_the_old_content_or_the_new(
    tmp_path: Path, act: Callable[[Path], None], before: bytes | None, least: int
):
    path, found, step = tmp_path / "file", [], 0
    while True:
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)
        killed = killed_at(step, lambda: act(path))
        found.append(path.read_bytes() if path.exists() else None)
        if not killed:
            break
        step += 1
    assert step >= least
    assert found[0] == before
    assert found[-1] == NEW
    assert found == sorted(found, key=lambda content: content == NEW)
    assert set(found) == {before, NEW}
    assert all(left == path or left.name.startswith(".file.") for left in tmp_path.iterdir())


def test_a_create_that_is_killed_can_be_done_again(tmp_path: Path):
    path = tmp_path / "key"
    assert killed_at(3, lambda: create(path, b"secret"))
    create(path, b"secret")
    assert path.read_bytes() == b"secret"


@settings(deadline=None, max_examples=30)
@given(step=st.integers(0, 7), number=st.sampled_from([errno.ENOSPC, errno.EIO, errno.EDQUOT]), old=st.booleans())
def test_a_step_that_fails_leaves_no_draft_and_no_half(
    tmp_path_factory: pytest.TempPathFactory, step: int, number: int, old: bool
):
    path = tmp_path_factory.mktemp("f") / "file"
    if old:
        path.write_bytes(OLD)
    left = iter(range(step))

    def fail(name: str, _: object) -> None:
        if next(left, None) is None and name in ("open", "fchmod", "fsync", "replace"):
            raise OSError(number, os.strerror(number))

    raised = None
    with at_each_step(fail):
        try:
            write_whole(path, NEW, 0o640)
        except OSError as error:
            raised = error.errno
    assert raised in (None, number)
    assert [one for one in path.parent.iterdir() if one != path] == []
    assert (path.read_bytes() if path.exists() else None) in ((OLD, NEW) if old else (None, NEW))


@pytest.mark.parametrize(
    ("act", "named"),
    [(lambda path: write_whole(path, NEW), "replace"), (lambda path: create(path, NEW), "link")],
)
def test_content_is_on_the_disk_before_the_name_and_the_name_after(
    tmp_path: Path, act: Callable[[Path], None], named: str
):
    taken: list[str] = []

    def note(name: str, given: tuple[Any, ...]) -> None:
        if name == "fsync":
            taken.append("folder" if stat.S_ISDIR(os.fstat(given[0]).st_mode) else "content")
        elif name == named:
            taken.append("name")

    with at_each_step(note):
        act(tmp_path / "file")
    assert taken == ["content", "name", "folder"]


def test_what_need_not_last_waits_for_no_disk(tmp_path: Path):
    taken: list[str] = []
    with at_each_step(lambda name, _: taken.append(name)):
        write_whole(tmp_path / "file", NEW, durable=False)
        with appending(tmp_path / "lines", durable=False) as file:
            file.write(b"one\n")
    assert "replace" in taken
    assert "fsync" not in taken


@pytest.mark.parametrize(("number", "raised"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_without_an_order_for_folders_is_served(tmp_path: Path, number: int, raised: bool):
    def fail(name: str, given: tuple[Any, ...]) -> None:
        if name == "fsync" and stat.S_ISDIR(os.fstat(given[0]).st_mode):
            raise OSError(number, os.strerror(number))

    failed = False
    with at_each_step(fail):
        try:
            write_whole(tmp_path / "file", NEW)
        except OSError:
            failed = True
    assert failed == raised
    assert (tmp_path / "file").read_bytes() == NEW


def test_an_error_in_the_block_leaves_the_file_as_it_was(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path):
    for path in (tmp_path / "nowhere" / "card.csv", Path("/proc/card.csv")):
        for write in (write_whole, create):
            with pytest.raises(OSError, match=str(path)) as refused:
                write(path, b"")
            assert "partial" not in str(refused.value)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_modes(tmp_path: Path, umask: int):
    modes: list[int] = []
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "plain", b"")
        write_whole(tmp_path / "given", b"", 0o644)
        create(tmp_path / "secret", b"")
        with replacing(tmp_path / "open", 0o644) as file:
            modes.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
    finally:
        os.umask(before)
    modes += [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "given", "secret")]
    assert modes == [0o644, 0o666 & ~umask, 0o644, 0o600]


def test_a_draft_is_never_open_to_others(tmp_path: Path):
    seen: list[int] = []

    def look(name: str, _: object) -> None:
        seen.extend(stat.S_IMODE(path.stat().st_mode) & 0o077 for path in tmp_path.iterdir() if name != "replace")

    before = os.umask(0)
    try:
        with at_each_step(look):
            write_whole(tmp_path / "key", b"secret", 0o600)
            create(tmp_path / "token", b"secret")
    finally:
        os.umask(before)
    assert seen
    assert set(seen) == {0}


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_nothing_is_created_in_the_place_of_another(tmp_path: Path, there: str):
    path = tmp_path / "key"
    if there == "link":
        path.symlink_to(tmp_path / "absent")
    elif there == "folder":
        path.mkdir()
    else:
        path.write_bytes(OLD)
    with pytest.raises(FileExistsError):
        create(path, NEW)
    draft = tmp_path / "draft"
    draft.write_bytes(NEW)
    with pytest.raises(FileExistsError):
        name_once(draft, path)
    assert sorted(tmp_path.iterdir()) == [draft, path]
    assert there != "file" or path.read_bytes() == OLD


def test_of_two_who_create_one_is_first(tmp_path: Path):
    """The other has looked before, when there was no file."""
    path = tmp_path / "key"
    once = iter(["the first"])

    def rival(name: str, _: object) -> None:
        if name == "link" and (content := next(once, None)):
            path.write_text(content)

    with at_each_step(rival), pytest.raises(FileExistsError):
        create(path, b"the second")
    assert path.read_text() == "the first"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path):
    path = tmp_path / "file"
    with replacing(path) as one, replacing(path) as other:
        one.write(b"a" * 10)
        other.write(b"b" * 20)
    assert path.read_bytes() == b"a" * 10
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf_8(tmp_path: Path):
    write_whole(tmp_path / "file", "借款\n")
    assert (tmp_path / "file").read_bytes() == "借款\n".encode()


def test_lines_are_added_and_a_new_file_lasts(tmp_path: Path):
    taken: list[str] = []

    def note(name: str, given: tuple[Any, ...]) -> None:
        if name == "fsync":
            taken.append("folder" if stat.S_ISDIR(os.fstat(given[0]).st_mode) else "content")

    with at_each_step(note):
        for line in (b"one\n", b"two\n"):
            with appending(tmp_path / "lines") as file:
                file.write(line)
    assert (tmp_path / "lines").read_bytes() == b"one\ntwo\n"
    assert taken == ["folder"]
