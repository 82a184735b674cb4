"""A table or a query of a database, by a URL that holds no password, and the errors that both databases share."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sealscore.clients.data.errors import DataError, Problem

BATCH_ROWS = 20_000
POSTGRES_SCHEMES = ("postgresql", "postgres")
# Parameters of libpq that say where the server is and how it is reached; none of them holds a secret.
PARAMETERS = frozenset(
    {
        "application_name",
        "channel_binding",
        "connect_timeout",
        "gssencmode",
        "host",
        "hostaddr",
        "krbsrvname",
        "passfile",
        "port",
        "require_auth",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "ssl_min_protocol_version",
        "target_session_attrs",
    }
)
FORM = "write postgresql://USER@HOST:PORT/DATABASE or sqlite:///PATH, and in names %40 for @, %2F for /, %23 for #"
SECRETS = "take it out of the URL; give it as password_file, in the variable PGPASSWORD, or in the file of PGPASSFILE"


@dataclass(frozen=True, repr=False)
class SqlSource:
    """Where the rows are: a `table` ("loans" or "schema.loans", as it is written in the catalogue) or a `query`.

    `url` is postgresql://USER@HOST:PORT/DATABASE?PARAMETER=VALUE, where libpq's parameters of the place and of TLS
    may follow, or sqlite:///relative/path, sqlite:////absolute/path. A password comes from `password_file` (one line,
    readable by its owner alone) or as libpq takes it, from PGPASSWORD or PGPASSFILE; never from the URL. What takes
    the server longer than `statement_timeout_s` seconds is given up.

    Raises:
        DataError: the URL is malformed or holds a password, or there is not just one of table and query. The
            message quotes nothing of a URL that may hold a password in some place.
    """

    url: str
    table: str | None = None
    query: str | None = None
    password_file: Path | None = None
    statement_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        _check_url(self.url)
        if (self.table is None) == (self.query is None):
            raise self.error("give either a table or a query", "name one of the two in the node's configuration")
        if self.statement_timeout_s <= 0:
            raise self.error("statement_timeout_s is not positive", "give it in seconds, such as 600")

    @property
    def is_sqlite(self) -> bool:
        return urlsplit(self.url).scheme == "sqlite"

    @property
    def path(self) -> Path:
        """The file of an SQLite source."""
        return Path(unquote(urlsplit(self.url).path)[1:])

    @property
    def name(self) -> str:
        """How messages name the source: table and place, without the user."""
        parts = urlsplit(self.url)
        if self.is_sqlite:
            place = self.path.name
        else:
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
            port = f":{parts.port}" if parts.port else ""
            place = f"postgresql://{host}{port}/{unquote(parts.path)[1:]}"
        return f"table {self.table} of {place}" if self.table else f"the query on {place}"

    @property
    def parameters(self) -> dict[str, str]:
        """libpq's parameters, of the URL; another host than this one is reached under TLS unless sslmode is given."""
        parts = urlsplit(self.url)
        given = {
            "host": parts.hostname and unquote(parts.hostname),
            "port": parts.port and str(parts.port),
            "user": parts.username and unquote(parts.username),
            "dbname": unquote(parts.path)[1:],
        }
        found = {key: value for key, value in given.items() if value} | dict(parse_qsl(parts.query))
        host = found.get("host", os.environ.get("PGHOST", ""))
        if host not in ("", "localhost", "127.0.0.1", "::1") and not host.startswith(("/", "@")):
            found.setdefault("sslmode", os.environ.get("PGSSLMODE", "require"))
        return found

    def password(self) -> str | None:
        """The password of `password_file`; None leaves it to libpq.

        Raises:
            DataError: the file cannot be read, is empty, or others may read it.
        """
        if self.password_file is None:
            return None
        try:
            mode = self.password_file.stat().st_mode
            found = _one_line(self.password_file)
        except (OSError, UnicodeDecodeError):
            fix = "name a file that the node's user can read, with the password as its one line"
            raise self.error(f"password_file {self.password_file} cannot be read", fix) from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            fix = f"chmod 600 {self.password_file}"
            raise self.error(f"password_file {self.password_file} can be reached by other users", fix)
        if found is None:
            raise self.error(f"password_file {self.password_file} is not one line", "write the password into it")
        return found

    def error(self, value: str, fix: str, column: str | None = None, rows: Sequence[int] = ()) -> DataError:
        """One problem of this source; `rows` are numbers from 1 in the order of reading."""
        return DataError([Problem(self.name, value, fix, column, tuple(rows))])

    def __repr__(self) -> str:
        return f"SqlSource({self.name!r})"


def timed_out(source: SqlSource) -> DataError:
    """The statement timeout, in words."""
    return source.error(
        f"the statement took longer than {source.statement_timeout_s:g} s and was given up (statement_timeout_s)",
        "read a table or a materialised view in place of a slow view or query, or raise statement_timeout_s",
    )


def _one_line(path: Path) -> str | None:
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[0] if len(lines) == 1 and lines[0] else None


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port, password = parts.port, parts.password
    except ValueError:
        raise _url_error("the URL is malformed", FORM) from None
    if password is not None:
        raise _url_error("the URL holds a password", SECRETS)
    # A password with an unescaped @, / or # splits in the wrong place: quote no part of such a URL.
    if url.count("@") - parts.netloc.count("@") or parts.netloc.count("@") > 1 or parts.fragment or port == 0:
        raise _url_error("the URL is malformed", FORM)
    if parts.scheme == "sqlite":
        _check_sqlite(parts)
    elif parts.scheme in POSTGRES_SCHEMES:
        _check_postgres(parts)
    else:
        raise _url_error("the URL is of no database that is read here", FORM)


def _check_sqlite(parts: SplitResult) -> None:
    if parts.netloc or parts.query or len(parts.path) < 2:
        raise _url_error("the URL of an SQLite file has a host or a query, or no path", FORM)


def _check_postgres(parts: SplitResult) -> None:
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if any("password" in name for name in names):
        raise _url_error("the URL holds a password", SECRETS)
    unknown = [name for name in names if name not in PARAMETERS]
    if unknown or len(parts.path) < 2:
        lacks = "the URL has a parameter that is not taken here" if unknown else "the URL names no database"
        raise _url_error(lacks, f"{FORM}; parameters: {', '.join(sorted(PARAMETERS))}")


def _url_error(value: str, fix: str) -> DataError:
    return DataError([Problem("SQL source", value, fix)])
