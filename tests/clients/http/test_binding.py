"""Where a service may listen, and certificates that are taken up while it runs."""

from __future__ import annotations

import os
import socket
import ssl
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from certificates import Authority

from sealscore.clients.http.binding import Binding, BindingError, ReloadedTls, TlsFiles


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return Authority(tmp_path).files()


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:80", "192.0.2.1:443", "[::]:80", "localhost:80", "127.0.0.1", "127.0.0.1:99999", ":80", "unix:", "", "a"],
)
def test_no_other_place_without_certificates_of_both(text: str):
    with pytest.raises(BindingError):
        Binding.parse(text)


def test_places_that_are_our_own_and_any_with_certificates(files: TlsFiles, tmp_path: Path):
    assert Binding.parse("127.0.0.1:0").port == 0
    assert Binding.parse("[::1]:8").host == "::1"
    assert Binding.parse(f"unix:{tmp_path}/s.sock").path == tmp_path / "s.sock"
    assert Binding.parse("0.0.0.0:443", files).tls == files
    with pytest.raises(BindingError):
        Binding.parse(f"unix:{tmp_path}/s.sock", files)
    with pytest.raises(BindingError):
        Binding.parse(f"unix:{tmp_path}/{'s' * 200}")


def refused(place: Binding) -> None:
    with pytest.raises(BindingError), place.opened():
        pass


def test_a_port_or_a_socket_that_is_served_is_not_taken(tmp_path: Path):
    with Binding.parse("127.0.0.1:0").opened() as first:
        refused(Binding.parse(f"127.0.0.1:{first.getsockname()[1]}"))
    place = Binding.parse(f"unix:{tmp_path}/s.sock")
    with place.opened():
        assert (tmp_path / "s.sock").stat().st_mode & 0o777 == 0o660
        refused(place)
    assert not (tmp_path / "s.sock").exists()


@pytest.mark.parametrize("closed", [False, True])
def test_a_process_that_ends_leaves_the_socket_of_the_one_that_came_after_it(tmp_path: Path, closed: bool):
    """Its own takes no more callers by then, and so the next one takes the place."""
    path = tmp_path / "s.sock"
    place = Binding.parse(f"unix:{path}")
    with ExitStack() as later:
        with place.opened() as ending:
            ending.shutdown(socket.SHUT_RDWR)
            if closed:
                ending.close()
            later.enter_context(place.opened())
            # A file system may give the new file the number of the one that was taken away.
            inode = path.stat().st_ino
        assert path.stat().st_ino == inode
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
    assert not path.exists()


def test_a_socket_that_a_crash_left_is_taken_and_a_file_is_not(tmp_path: Path):
    place = Binding.parse(f"unix:{tmp_path}/s.sock")
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(tmp_path / "s.sock"))
    assert (tmp_path / "s.sock").exists()
    with place.opened():
        pass
    (tmp_path / "s.sock").write_text("a file")
    refused(place)
    assert (tmp_path / "s.sock").read_text() == "a file"
    os.chmod(tmp_path, 0o777)
    refused(Binding.parse(f"unix:{tmp_path}/t.sock"))
    refused(Binding.parse(f"unix:{tmp_path}/none/t.sock"))


def test_files_of_tls_that_cannot_be_used_are_refused(tmp_path: Path):
    authority, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    good = authority.files()
    assert good.context().verify_mode == ssl.CERT_REQUIRED
    for files in (
        TlsFiles(good.certificate, other.files().key, good.callers),
        TlsFiles(tmp_path / "none", good.key, good.callers),
        TlsFiles(good.certificate, good.key, good.key),
        authority.files(ends=timedelta(days=-1)),
    ):
        with pytest.raises(BindingError):
            files.context()


def shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """The certificate that a client gets; SSLError where either refuses."""
    left, right = socket.socketpair()
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    left.close()
    right.close()
    serving = server.wrap_bio(ours, theirs, server_side=True)
    asking = client.wrap_bio(theirs, ours, server_side=False, server_hostname="127.0.0.1")
    done = {serving: False, asking: False}
    while not all(done.values()):
        for one in (asking, serving):
            try:
                one.do_handshake()
                done[one] = True
            except ssl.SSLWantReadError:
                pass
    found = asking.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_a_certificate_that_ends_while_it_is_in_use_is_told_of_once(tmp_path: Path):
    authority = Authority(tmp_path / "a")
    warned: list[str] = []
    reloaded = ReloadedTls(authority.files(ends=timedelta(seconds=1)), warned.append)
    assert not warned
    time.sleep(1.5)
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            shaken(reloaded.context, authority.client("loans"))
    assert len(warned) == 1
    authority.files()
    assert shaken(reloaded.context, authority.client("loans"))
    assert len(warned) == 1


def test_certificates_and_authorities_are_taken_up_when_their_files_change(tmp_path: Path):
    authority = Authority(tmp_path / "a")
    warned: list[str] = []
    files = authority.files()
    reloaded = ReloadedTls(files, warned.append)
    first = shaken(reloaded.context, authority.client("loans"))
    assert shaken(reloaded.context, authority.client("loans")) == first
    authority.files()
    assert shaken(reloaded.context, authority.client("loans")) != first
    # Files that cannot be used change nothing, and somebody hears of it.
    kept = shaken(reloaded.context, authority.client("loans"))
    good = files.certificate.read_bytes()
    files.certificate.write_text("none")
    assert shaken(reloaded.context, authority.client("loans")) == kept
    assert len(warned) == 1
    files.certificate.write_bytes(good)
    # Another authority of callers: those of the old one are strangers from now on.
    other = Authority(tmp_path / "b")
    files.callers.write_bytes(other.certificate)
    with pytest.raises(ssl.SSLError):
        shaken(reloaded.context, authority.client("loans"))
    assert shaken(reloaded.context, other.client("loans", trusted=authority)) == kept
