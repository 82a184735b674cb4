"""URLs of databases and where passwords come from: what is taken, and that nothing of a secret is quoted."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.clients.data import DataError, SqlSource, read_source

SECRET = "tr0ub4dor"


def refusal(url: str, **changes) -> str:
    with pytest.raises(DataError) as caught:
        SqlSource(url, **{"table": "loans"} | changes)
    return "".join(traceback.format_exception(caught.value))


def test_a_url_is_taken_apart(monkeypatch):
    monkeypatch.delenv("PGSSLMODE", raising=False)
    source = SqlSource("postgresql://no%40de@Bank.example:5433/ri%2Fsk?sslrootcert=/etc/ca.pem", "public.loans")
    assert source.parameters == {
        "host": "bank.example",
        "port": "5433",
        "user": "no@de",
        "dbname": "ri/sk",
        "sslrootcert": "/etc/ca.pem",
        "sslmode": "require",
    }
    assert source.name == "table public.loans of postgresql://bank.example:5433/ri/sk"
    assert repr(source) == f"SqlSource({source.name!r})"
    local = SqlSource("postgresql:///risk?host=/run/postgresql", query="SELECT 1")
    assert local.parameters == {"host": "/run/postgresql", "dbname": "risk"}
    assert local.name == "the query on postgresql:///risk"


@pytest.mark.parametrize(
    ("place", "sslmode"),
    [
        ("bank.example", "require"),
        ("10.0.0.7", "require"),
        ("bank.example/risk?sslmode=verify-full", "verify-full"),
        ("localhost", None),
        ("127.0.0.1:5432", None),
        ("[::1]:5432", None),
    ],
)
def test_another_host_is_reached_under_tls(monkeypatch, place, sslmode):
    monkeypatch.delenv("PGSSLMODE", raising=False)
    url = f"postgresql://node@{place}" + ("" if "/" in place else "/risk")
    assert SqlSource(url, "loans").parameters.get("sslmode") == sslmode
    monkeypatch.setenv("PGSSLMODE", "verify-ca")
    assert SqlSource(url, "loans").parameters.get("sslmode") in {"verify-ca", sslmode} - {"require"}


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://node:{SECRET}@127.0.0.1/risk",
        f"postgresql://node:{SECRET}@127.0.0.1:5432/risk",
        "postgresql://node:@127.0.0.1/risk",
        f"postgresql://127.0.0.1/risk?user=node&password={SECRET}",
        f"postgresql://127.0.0.1/risk?sslpassword={SECRET}",
    ],
)
def test_a_password_in_a_url_is_refused(url):
    message = refusal(url)
    assert "SQL source: the URL holds a password; fix: take it out of the URL; give it as password_file" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://node:12/{SECRET}@127.0.0.1/risk",
        f"postgresql://node:12#{SECRET}@127.0.0.1/risk",
        f"postgresql://node:12?{SECRET}@127.0.0.1/risk",
        f"postgresql://node:{SECRET}/@127.0.0.1/risk",
        f"postgresql://node@{SECRET}@127.0.0.1/risk",
        f"postgresql://node@127.0.0.1/risk?options={SECRET}",
        f"postgresql://node@127.0.0.1:{SECRET}/risk",
        f"oracle://{SECRET}/risk",
        f"postgresql://{SECRET}",
        f"sqlite://{SECRET}/risk.db",
        "sqlite:///",
        "",
    ],
)
def test_a_malformed_url_is_not_quoted(url):
    message = refusal(url)
    assert "SQL source: the URL " in message
    assert "fix: write postgresql://USER@HOST:PORT/DATABASE or sqlite:///PATH" in message
    assert SECRET not in message


@given(st.text(alphabet="p@:/?#%[]& \\", min_size=1, max_size=8))
def test_no_password_gets_into_a_name(mess):
    """However a password is written into a URL, the URL is refused, or read as it is meant by its escapes."""
    url = f"postgresql://node:{SECRET}{mess}@127.0.0.1/risk"
    with pytest.raises(DataError) as caught:
        SqlSource(url, "loans")
    assert SECRET not in str(caught.value)


def test_a_source_is_a_table_or_a_query():
    url = "postgresql://node@127.0.0.1/risk"
    assert "give either a table or a query" in refusal(url, query="SELECT 1")
    assert "give either a table or a query" in refusal(url, table=None)
    assert "statement_timeout_s is not positive" in refusal(url, statement_timeout_s=0)


def test_password_files(tmp_path):
    def said(path: Path) -> str:
        # Refused before anything is sent, so no server is needed.
        with pytest.raises(DataError) as caught:
            read_source(SqlSource("postgresql://node@127.0.0.1:1/risk", "loans", password_file=path))
        return str(caught.value)

    path = tmp_path / "password"
    assert f"password_file {path} cannot be read; fix: name a file" in said(path)
    path.write_text(f"{SECRET}\n")
    path.chmod(0o640)
    assert f"can be reached by other users; fix: chmod 600 {path}" in said(path)
    path.chmod(0o600)
    assert "the server cannot be reached" in said(path)
    for content in ("", "\n", f"{SECRET}\nmore\n"):
        path.write_text(content)
        message = said(path)
        assert "is not one line" in message
        assert SECRET not in message
    path.write_bytes(b"\xff\n")
    assert "cannot be read" in said(path)
