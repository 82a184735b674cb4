"""Fixtures of the tests that read from PostgreSQL; a conftest imports them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from postgres_server import NoPostgresError, PostgresServer, postgres_server

READER_PASSWORD = "r3ader-passw0rd-of-the-test"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with the role `reader`, who may read what is in the schema public."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres_server())
        except NoPostgresError as error:
            pytest.skip(str(error))
        with server.owner() as owner:
            owner.execute(f"CREATE ROLE reader LOGIN PASSWORD '{READER_PASSWORD}'")
            owner.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader")
            # What a role or server prefers must not change what a cell reads as.
            for setting in ("timezone = 'Asia/Shanghai'", "datestyle = 'German'", "extra_float_digits = -5"):
                owner.execute(f"ALTER ROLE reader SET {setting}")
        yield server


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """The file of reader's password, mode 0600."""
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text(READER_PASSWORD + "\n")
    return path
