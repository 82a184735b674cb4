"""node.toml: every documented key is taken, everything else is explained."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sealscore.clients.commands.init import _text
from sealscore.clients.data import DataError
from sealscore.clients.data.sources.sql import SqlSource
from sealscore.clients.setup.config import TELL_LIMITS, ConfigError, NodeConfig, ServerSection, ServingSection
from sealscore.shared.ledger.entries import TellLimit
from sealscore.shared.serving.watch import WATCH

WHOLE = """
[node]
name = "lender-1"
role = "lender"
sockets = "/run/sealscore"
[server]
address = "fed.example.org:9481"
authority = "ca.pem"
[data]
id = "loans"
identifier = "creator_id"
form = "creator-id"
url = "postgresql://reader@db.example:5432/credit"
table = "scoring.loans"
password_file = "db.password"
split = "splits"
[data.columns]
bureau_score = "BUREAU_SCORE"
[data.consents]
file = "consents.csv"
person = "creator_id"
recipient = "recipient"
purpose = "purpose"
given = "given_at"
expires = "expires"
withdrawn = "withdrawn_at"
[budget]
epsilon = 3.0
delta = 1e-5
signal_bits = 4
label_epsilon = 2.0
[budget.purposes]
credit-scoring = 2.5
[supernode]
port = 9494
poll = 0.5
"""


def load(folder: Path, text: str) -> NodeConfig:
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return NodeConfig.load(path)


def problems(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return "\n".join(caught.value.problems)


def keys_of(data: dict[str, Any], before: str = "") -> set[str]:
    found = set()
    for name, value in data.items():
        found |= keys_of(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}"}
    return found


@pytest.mark.parametrize("role", ["lender", "platform"])
def test_every_key_of_the_template_is_one_that_is_read(role: str, tmp_path: Path):
    commented = re.sub(r"^# (?=[\w\[])", "", _text("north", role, "fed.example.org:9481"), flags=re.MULTILINE)
    lines = [
        line for line in commented.splitlines() if not re.match(r"(The configuration|Names of|Consents|What)", line)
    ]
    # of file and url a table has one
    lines = [line for line in lines if not line.startswith("consent_column")]  # of column and table it has one, too
    text = "\n".join(lines).replace("url = ", "#", 1).replace("table = ", "#", 1).replace("password_file", "#", 1)
    config = load(tmp_path, text)
    assert config.data.consents is not None
    assert config.budget.purposes == {"credit-scoring": 3.0}
    assert config.node.sockets == Path("/run/sealscore")
    assert config.data.split == Path("splits")
    assert len(config.data.columns) == 1


def test_the_template_names_every_key_that_is_read():
    text = _text("north", "lender", "fed.example.org:9481")
    missing = [key for key in sorted(keys_of(tomllib.loads(WHOLE))) if key.rpartition(".")[2] not in text]
    assert missing in ([], ["data.columns.bureau_score"])


def test_a_whole_file_is_read_as_it_stands(tmp_path: Path):
    config = load(tmp_path, WHOLE)
    own = config.data.own(tmp_path)
    assert own.source == SqlSource(
        "postgresql://reader@db.example:5432/credit", "scoring.loans", None, tmp_path / "db.password"
    )
    assert own.columns == {"bureau_score": "BUREAU_SCORE"}
    assert own.consents is not None
    assert own.consents.source == tmp_path / "consents.csv"
    assert own.consents.days == {"given": "given_at", "expires": "expires", "withdrawn": "withdrawn_at"}
    assert (config.budget.epsilon, config.budget.label_epsilon) == (3.0, 2.0)
    assert (config.supernode.port, config.supernode.poll) == (9494, 0.5)


@pytest.mark.parametrize("key", sorted(keys_of(tomllib.loads(WHOLE)) - {"data.columns.bureau_score"}))
def test_a_mistyped_key_is_answered_by_what_may_stand_there(key: str, tmp_path: Path):
    section, _, name = key.rpartition(".")
    lines, now = [], ""
    for line in WHOLE.splitlines():
        now = line.strip("[]") if line.startswith("[") else now
        mistyped = now == section and line.startswith(f"{name} =")
        lines.append(line.replace(name, f"{name}x", 1) if mistyped else line)
    if section == "budget.purposes":
        assert load(tmp_path, "\n".join(lines)).budget.purposes == {"credit-scoringx": 2.5}
        return
    assert f"{section}.{name}x: unknown key; did you mean {name!r}? allowed: " in problems(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ('name = "lender-1" -> name = "Lender 1"', "node.name = 'Lender 1'"),
        ('name = "lender-1" -> name = "server"', "no party may have the server's name"),
        ('role = "lender" -> role = "server"', "node.role = 'server': input should be 'lender' or 'platform'"),
        ('address = "fed.example.org:9481" -> address = "::1:9481"', "server.address = '::1:9481'"),
        ('address = "fed.example.org:9481" -> address = "fed.example.org"', "server.address = 'fed.example.org'"),
        ("epsilon = 3.0 -> epsilon = -1", "budget.epsilon = -1"),
        ("delta = 1e-5 -> delta = 0.5", "budget.delta = 0.5"),
        ("epsilon = 3.0 -> epsilon = inf", "budget.epsilon = inf"),
        ("port = 9494 -> port = 80", "supernode.port = 80"),
        ("poll = 0.5 -> poll = 0", "supernode.poll = 0"),
        ('url = "postgresql://reader@db.example:5432/credit" -> # no url', "data: give file, or url"),
        ('table = "scoring.loans" -> file = "loans.csv"', "data: give file, or url"),
        ('person = "creator_id" -> # no person', "data.consents.person: missing"),
        ('[data]\nid = "loans" -> [data]', "data.id: missing"),
        ("[budget] -> [budgets]", "budgets: unknown key; did you mean 'budget'?"),
    ],
)
def test_a_bad_value_is_named_with_its_key(change: str, what: str, tmp_path: Path):
    old, new = change.split(" -> ")
    assert old in WHOLE
    assert what in problems(tmp_path, WHOLE.replace(old, new, 1))


def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path: Path):
    config = load(tmp_path, WHOLE.replace("reader@", "reader:hunter2@"))
    with pytest.raises(DataError) as caught:
        config.data.own(tmp_path)
    assert "hunter2" not in str(caught.value)


def test_options_of_a_database_do_not_go_with_a_file(tmp_path: Path):
    text = WHOLE.replace('url = "postgresql://reader@db.example:5432/credit"', 'file = "loans.csv"')
    assert "table, query and password_file go with url" in problems(tmp_path, text)


def test_a_missing_file_and_no_toml_are_explained(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"node\.toml: cannot be read: .*sealscore-node init makes one"):
        NodeConfig.load(tmp_path / "node.toml")
    assert "not valid TOML" in problems(tmp_path, "[node\n")
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        NodeConfig.load(tmp_path / "node.toml")


@given(st.text(max_size=60))
def test_any_text_is_a_configuration_or_explained(tmp_path_factory: pytest.TempPathFactory, text: str):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
    with pytest.raises(ConfigError):
        NodeConfig.load(path)


def test_the_limit_of_the_watch_bit_is_by_quarter_and_absent_unless_written():
    assert WATCH not in ServingSection().all_limits
    written = ServingSection.model_validate({"limits": {"watch": {"quarter": 1, "life": 8}}})
    assert written.all_limits == TELL_LIMITS | {WATCH: TellLimit(month=1, life=8)}
    for wrong in ({"month": 1, "life": 8}, {"quarter": 1}, {"quarter": 0, "life": 8}, {"quarter": 1, "months": 2}, 3):
        with pytest.raises(ValidationError):
            ServingSection.model_validate({"limits": {"watch": wrong}})
    with pytest.raises(ValidationError):
        ServingSection.model_validate({"limits": {"signal": {"quarter": 4, "life": 8}}})


@pytest.mark.parametrize("address", ["fed.example.org:9481", "192.0.2.7:443", "[2001:db8::7]:9481"])
def test_the_server_is_named_by_name_or_address(address: str):
    assert ServerSection(address=address, authority="ca.pem").address == address
