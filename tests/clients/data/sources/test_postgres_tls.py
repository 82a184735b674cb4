"""PostgreSQL under TLS, against a real server with certificates: who is let in, and who is not believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from certificates import Authority
from postgres_server import PASSWORD, NoPostgresError, PostgresServer, ServerTls, postgres_server

from sealscore.clients.data import DataError, SqlSource, read_source

# Whether the connection that reads is under TLS, by the server's own word.
ENCRYPTED = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@dataclass(frozen=True)
class Place:
    """A server under TLS, the authority of its certificate, and the files that its callers have."""

    server: PostgresServer
    authority: Authority
    folder: Path

    @property
    def root(self) -> Path:
        """The certificate of the server's authority."""
        return self.folder / "right" / "authority.pem"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder / "right")
    files = authority.files()
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres_server(ServerTls(files.certificate, files.key, files.callers)))
        except NoPostgresError as error:
            pytest.skip(str(error))
        yield Place(server, authority, folder)


@pytest.fixture
def source(place: Place, tmp_path: Path) -> Callable[[str], SqlSource]:
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD + "\n")
    return lambda options: SqlSource(place.server.url(options=options), query=ENCRYPTED, password_file=password)


def refusal(source: SqlSource) -> str:
    with pytest.raises(DataError) as caught:
        read_source(source)
    return str(caught.value)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_rows_are_read_under_tls(place: Place, source: Callable[[str], SqlSource], mode: str):
    frame = read_source(source(f"?sslmode={mode}&sslrootcert={place.root}")).frame
    encrypted, version = frame.row(0)
    assert encrypted is True
    assert version in ("TLSv1.2", "TLSv1.3")


def test_a_server_of_another_authority_is_not_believed(place: Place, source: Callable[[str], SqlSource]):
    other = Authority(place.folder / "other")
    assert other.certificate
    root = place.folder / "other" / "authority.pem"
    for mode in ("verify-ca", "verify-full"):
        said = refusal(source(f"?sslmode={mode}&sslrootcert={root}"))
        assert "there is no TLS connection to the server" in said
        assert PASSWORD not in said


def test_a_server_under_another_name_is_not_believed(place: Place, source: Callable[[str], SqlSource]):
    """Its certificate is for 127.0.0.1, and it is asked for by the name of somebody else."""
    elsewhere = f"?host=db.example.org&hostaddr=127.0.0.1&sslrootcert={place.root}"
    assert "there is no TLS connection" in refusal(source(f"{elsewhere}&sslmode=verify-full"))
    assert read_source(source(f"{elsewhere}&sslmode=verify-ca")).frame.row(0)[0] is True


def test_another_host_is_asked_under_tls_without_a_word_of_it_in_the_url(
    source: Callable[[str], SqlSource], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert read_source(source("?host=db.example.org&hostaddr=127.0.0.1")).frame.row(0)[0] is True


def test_in_clear_nobody_is_let_in(source: Callable[[str], SqlSource]):
    assert "the server does not accept the credentials" in refusal(source("?sslmode=disable"))


def test_a_caller_with_a_certificate_of_somebody_else_is_not_let_in(place: Place, source: Callable[[str], SqlSource]):
    place.authority.client("owner")
    stranger = Authority(place.folder / "stranger")
    stranger.client("owner")

    def shown(folder: str) -> SqlSource:
        mine = place.folder / folder
        (mine / "owner.key").chmod(0o600)
        return source(f"?sslmode=verify-full&sslrootcert={place.root}&sslcert={mine}/owner.pem&sslkey={mine}/owner.key")

    assert read_source(shown("right")).frame.row(0)[0] is True
    assert refusal(shown("stranger"))


def test_a_certificate_that_has_ended_is_not_believed(place: Place, source: Callable[[str], SqlSource]):
    ended = place.authority.files(timedelta(days=-1))
    with postgres_server(ServerTls(ended.certificate, ended.key, ended.callers)) as server:
        url = server.url(options=f"?sslmode=verify-full&sslrootcert={place.root}")
        said = refusal(SqlSource(url, query=ENCRYPTED, password_file=source("").password_file))
        assert "there is no TLS connection" in said
