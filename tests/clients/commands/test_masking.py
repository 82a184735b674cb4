"""What of a log line may be shown outside the party, and what a support engineer still can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.clients.commands.masking import LogMasks

MASKS = LogMasks(
    folders=(("/home/jane smith/node", "HOME"), ("/home/jane smith", "PATH"), ("/src/tree", "PATH/site-packages")),
    hosts=("fed.example.org", "db"),
    parties=("bank-a", "bank"),
)


@pytest.mark.parametrize(
    "line",
    [
        "2026-07-01 12:34:56,123 INFO : Starting",
        "  in run at start_client_internal.py:123",
        "POST /v1/fleet/pull-messages HTTP/1.1 503",
        "flwr 1.41.0 on 127.0.0.1:9494",
        "RuntimeError: std::bad_alloc, it's over",
        "sealscore: bundle 5e5e is refused: no approved plan names it; approve one that does",
    ],
)
def test_what_is_nobodys_own_stays(line: str):
    assert MASKS.masked(line) == line


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('File "/src/tree/clients/app.py", line 3', 'File "clients/app.py", line 3'),
        ('File "/usr/lib/python3.11/json/decoder.py", line 3', 'File "json/decoder.py", line 3'),
        ("/home/jane smith/node/supernode/logs: full", "HOME/supernode/logs: full"),
        ("/home/jane smith/node/loans-jones.csv: full", "PATH: full"),
        ("in /home/jane smith/x/y.py.", "in PATH."),
        ("'/srv/a b/c d.key' is open", "'PATH' is open"),
        (r"C:\Users\jones\x", "PATH"),
        ("fed.example.org does not answer DB", "ADDRESS does not answer ADDRESS"),
        ("other.example.org:443 [2001:db8::1]:443", "ADDRESS:PORT ADDRESS:PORT"),
        ("192.168.1.7 2001:db8::1 ::1", "ADDRESS ADDRESS ::1"),
        ("socks5://u:p@h:1/x?y=/z then", "socks5://ADDRESS then"),
        ("bank-a, bank, embankment, bank-ab", "PARTY, PARTY, embankment, bank-ab"),
    ],
)
def test_what_is_somebodys_is_masked(line: str, shown: str):
    assert MASKS.masked(line) == shown


WORDS = st.text(alphabet="abcxyz0189_- ", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(st.lists(WORDS, min_size=1, max_size=4), st.sampled_from(["'{}'", '"{}"', "x '{}': y", 'File "{}", line 3']))
def test_no_part_of_a_quoted_path_is_left(parts: list[str], around: str):
    path = "/qqq/" + "/".join(f"q{part}q" for part in parts)
    shown = MASKS.masked(around.format(path))
    assert "q" not in shown
    assert "PATH" in shown
