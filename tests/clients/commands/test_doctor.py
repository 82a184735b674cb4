"""`sealscore-node doctor`: enough for who helps, and nothing that is private."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import small_records
from homes import Said, Town, table_of

from sealscore.clients.commands.doctor import collected
from sealscore.clients.node.plan_ledger import approve

Node = Callable[..., Said]
CANARY = "canary-7f3a"


def strings(value: Any) -> Iterator[str]:
    """Every text in an object, names included."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    else:
        yield str(value)


@pytest.fixture
def told(town: Town, offline: list[Any]) -> Callable[[], dict[str, Any]]:
    """What doctor tells, checked to hold no path of the node."""

    def tell() -> dict[str, Any]:
        found = collected(town["lender-1"])
        assert str(town["lender-1"].folder) not in json.dumps(found)
        return found

    return tell


def rewrite(town: Town, old: str, new: str) -> None:
    path = town["lender-1"].config_file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def secrets_of(town: Town) -> set[str]:
    """What is secret in the keys' files, in pieces that would be found wherever they stood."""
    found = set()
    for path in (town["lender-1"].folder / "keys").iterdir():
        lines = path.read_text(encoding="ascii").splitlines()
        found |= {line.strip().strip('",') for line in lines if len(line.strip()) > 40 and "----" not in line}
    return {secret.split('"')[-1] for secret in found if "fingerprint" not in secret}


def test_tells_versions_checks_sizes_and_processes(node: Node, town: Town, offline: list[Any], tmp_path: Path):
    home = town["lender-1"]
    ledger = town.ledger("lender-1")
    approve(ledger, town.plan)
    ledger.close()
    (home.supernode / "logs").mkdir(parents=True)
    (home.supernode / "logs" / "supernode.log").write_text("".join(f"line {n}\n" for n in range(100)))
    output = tmp_path / "doctor.json"
    said = node("doctor", "-o", output, "--home", home.folder)
    assert (said.code, "read it before you send it" in said.text) == (0, True)
    found = json.loads(output.read_text())
    assert found == json.loads(node("doctor", "--home", home.folder).out)
    assert found["versions"]["flwr"].startswith("1.")
    assert {check["what"]: check["good"] for check in found["checks"]} == {
        "node.toml": True,
        "keys": True,
        "peers": True,
        "ledger": True,
        "connection": True,
    }
    assert found["ledger"] == {"entries": 3, "plans": {town.plan.hash: "live"}}
    assert found["files"]["keys"] == {"bytes": found["files"]["keys"]["bytes"], "mode": "0o700", "folder": True}
    assert found["files"]["others"] == 1  # the table of loans, whose name is the operator's
    assert found["logs"] == {"executor.log": [], "supernode.log": [f"line {n}" for n in range(60, 100)]}


def test_nothing_private_is_in_it(told: Callable[[], dict[str, Any]], town: Town, monkeypatch: pytest.MonkeyPatch):
    """Canaries in the data, in names of files and columns, in passwords, in keys and in the environment."""
    home = town["lender-1"]
    records = small_records(seed=1)
    ids = [f"{CANARY}-{number}" for number in range(len(records))]
    table = table_of(records).with_columns(id=records_column(ids), income=records_column(["0.73731"] * len(records)))
    table.rename({"income": f"{CANARY}_income"}).write_csv(home.folder / f"{CANARY}.csv")
    (home.folder / "consents.csv").write_text(f"who,to\n{CANARY},federation\n")
    (home.folder / "db.password").write_text(CANARY)
    rewrite(town, 'file = "loans.csv"', f'file = "{CANARY}.csv"')
    rewrite(town, "[data.columns]", f'[data.columns]\nincome = "{CANARY}_income"')
    for name in ("PGPASSWORD", "SEALSCORE_SECRET", "AWS_SECRET_ACCESS_KEY", "USER", "HOME"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{CANARY}:{CANARY}@proxy.example:3128")
    (home.supernode / "logs").mkdir(parents=True)
    (home.supernode / "logs" / "supernode.log").write_text(
        f"proxy http://reader:{CANARY}@proxy.example:3128 at {home.folder}/supernode\n"
    )
    (home.supernode / "logs" / f"{CANARY}.log").write_text(CANARY)
    assert all(check["good"] for check in told()["checks"])
    text = json.dumps(told())
    assert CANARY not in text
    assert "0.73731" not in text
    assert "http://ADDRESS at HOME/supernode" in text
    keys = secrets_of(town)
    assert len(keys) >= 3
    assert not [secret for secret in keys if secret in text]
    assert home.label_secret().secret.hex() not in text


@pytest.mark.parametrize(
    "line",
    [
        f'  File "/opt/{CANARY}/lib/python3.11/site-packages/flwr/supernode/start.py", line 37, in run',
        f'  File "/home/{CANARY} jones/app.py", line 3, in <module>',
        f"FileNotFoundError: [Errno 2] No such file or directory: '/srv/{CANARY}/ca.pem'",
        f"OSError: /srv/{CANARY}: no room",
        f"cannot read ../{CANARY}/x or ~/{CANARY} or data/{CANARY}.csv",
        f"retry of {CANARY}.example.org:9481 in 2 s",
        f"https://reader:secret@{CANARY}.example.org/v1/fleet/pull-messages",
        f"HTTPSConnection(host='{CANARY}.example.org', port=9481)",
    ],
)
def test_a_line_of_a_log_is_masked(told: Callable[[], dict[str, Any]], town: Town, line: str):
    logs = town["lender-1"].supernode / "logs"
    logs.mkdir(parents=True)
    (logs / "executor.log").write_text(line + "\n")
    (shown,) = told()["logs"]["executor.log"]
    assert CANARY not in shown
    assert "PATH" in shown or "ADDRESS" in shown or shown == '  File "flwr/supernode/start.py", line 37, in run'


def test_names_of_parties_and_places_of_node_toml_are_masked_and_counted(
    told: Callable[[], dict[str, Any]], town: Town, tmp_path: Path
):
    """What stands in node.toml and in the trusted cards is known, so it is masked wherever a log has it."""
    home = town["lender-1"]
    outside = tmp_path / f"{CANARY} papers"
    outside.mkdir()
    rewrite(town, 'authority = "ca.pem"', f'authority = "{outside}/ca.pem"')
    rewrite(town, 'address = "127.0.0.1:19"', f'address = "{CANARY}.example.org:9481"')
    rewrite(town, 'file = "loans.csv"', f'url = "postgresql://reader@db-{CANARY}.intern/credit"\ntable = "loans"')
    (home.supernode / "logs").mkdir(parents=True)
    (home.supernode / "logs" / "supernode.log").write_text(
        f"authority {outside}/ca.pem of {CANARY}.example.org, not of db-{CANARY}.intern\n"
        f"party=lender-1 with lender-2 and lender-3 at {home.folder}/keys, line 3 of app.py:37 at 12:34:56\n"
    )
    found = told()
    text = json.dumps(found)
    assert CANARY not in text
    assert not [name for name in ("lender-1", "lender-2", "lender-3") if name in text]
    assert {check["what"]: check["words"] for check in found["checks"]} | {"ledger": ""} == {
        "node.toml": "a lender",
        "keys": "are this node's",
        "peers": "3 trusted",
        "ledger": "",
        "connection": "the server knows this node; certificate and clock are good",
    }
    assert found["logs"]["supernode.log"][1] == (
        "party=PARTY with PARTY and PARTY at HOME/keys, line 3 of app.py:37 at 12:34:56"
    )


def test_a_trouble_is_told_by_its_code(town: Town, tmp_path: Path):
    rewrite(town, 'authority = "ca.pem"', f'authority = "{tmp_path}/{CANARY}/ca.pem"')
    found = collected(town["lender-1"])
    assert str(tmp_path) not in json.dumps(found)
    assert CANARY not in json.dumps(found)
    assert [check["words"] for check in found["checks"] if not check["good"]] == ["files"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('file = "loans.csv"', f'file = "loans.csv"\nurl = "postgresql://x:{CANARY}@db/credit"'),
        ('file = "loans.csv"', f'url = ["postgresql://x:{CANARY}@db/credit"]'),
        ('file = "loans.csv"', f'file = "loans.csv"\npassword = "{CANARY}"'),
        ('id = "lender-1"', f'id = "{CANARY * 20}"'),
        ('address = "127.0.0.1:19"', f'address = "{CANARY}"'),
        ('address = "127.0.0.1:19"', f'address = "{CANARY}'),
        ('name = "lender-1"', f'name = "{CANARY.upper()}"'),
    ],
)
def test_a_faulty_configuration_is_told_by_its_keys(told: Callable[[], dict[str, Any]], town: Town, old: str, new: str):
    rewrite(town, old, new)
    found = told()
    assert CANARY not in json.dumps(found).lower()
    (check,) = found["checks"]
    assert (check["what"], check["good"]) == ("node.toml", False)
    assert check["words"].startswith("cannot be used")


def test_a_password_in_a_url_stays_out(told: Callable[[], dict[str, Any]], town: Town):
    rewrite(town, 'file = "loans.csv"', f'url = "postgresql://x:{CANARY}@db/credit"\ntable = "loans"')
    assert CANARY not in json.dumps(told())


@pytest.mark.parametrize("broken", ["ledger.db", "trust.json", "keys/identity", "node.toml", "register.db"])
def test_helps_where_something_is_damaged(told: Callable[[], dict[str, Any]], town: Town, broken: str):
    town.ledger("lender-1").close()
    town["lender-1"].disclosure_store().close()
    (town["lender-1"].folder / broken).write_bytes(CANARY.encode() * 100)
    found = told()
    assert [check for check in found["checks"] if not check["good"]]
    assert not [text for text in strings(found) if CANARY in text]


def records_column(values: list[str]) -> Any:
    import polars as pl

    return pl.Series(values, dtype=pl.String)
