"""Bad input by the commands of operators: an exit code and a message without a person; nothing is charged or lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from disk import no_room_for
from partners import Partners

from sealscore.clients.commands.serving import scores, tokens
from sealscore.clients.setup.node_dir import NodeDirError
from sealscore.clients.setup.serving_dir import ServingDir
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.ledger.ledger import read_ledger

pytestmark = pytest.mark.slow

TODAY = datetime.now(UTC).date()
SECRET = "secret-4711"


def told(partners: Partners, platform: str = "wallet") -> tuple[int, int]:
    """How many values were told, and how many tokens were given."""
    path = partners.town.serving(platform).store_file
    if not path.exists():
        return 0, 0
    with closing(sqlite3.connect(path)) as database:
        return tuple(database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in ("told", "tokens"))  # type: ignore[return-value]


def kinds(partners: Partners, party: str) -> list[str]:
    """The kinds of a party's ledger entries."""
    return [entry.kind for entry in read_ledger(partners.town.node(party).ledger_file)]


def on_day(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """The clock of this machine goes wrong by so many days."""
    for module in (scores, tokens):
        monkeypatch.setattr(module, "today", lambda: TODAY + timedelta(days=days))


def test_an_application_that_cannot_be_scored_costs_nothing(partners: Partners):
    partners.prepared(("wallet",))
    person, row = partners.shared_person("wallet")
    partners.token("wallet", person)
    partners.token("wallet", person, "k2")
    good = partners.town.application(person, row, tokens=partners.tokens("wallet-k1"))
    partners.scored(good)
    head = _head(partners)
    both = partners.tokens("wallet-k1", "wallet-k2")
    income: dict[str, Any] = {**good["features"]}
    bad: list[tuple[str, Any]] = [
        ("two-tokens", {"tokens": both, "application_id": good["application_id"]}),
        ("malformed", {"tokens": ["!"]}),
        ("malformed", {SECRET: 1}),
        ("malformed", {"person": 4711}),
        ("purpose", {"purpose": "marketing"}),
        ("features", {"features": income | {"incom": 4711}}),
        ("features", {"features": income | {"income": 4711}}),
        ("features", {"features": income | {"income": "4711"}}),
        ("features", {"features": income | {"income": 10**400}}),
        ("clock", {"as_of": str(TODAY + timedelta(days=1))}),
    ]
    for code, change in bad:
        said = partners.score({**good, "application_id": f"bad-{code}", "product": "other", **change})
        assert (said.code, code in said.text, said.out) == (2, True, "")
        assert "4711" not in said.text.replace(SECRET, "")
        assert person not in said.text
    for text in ("", "{", "[", '{"a": NaN}', "7", json.dumps([good, {}])):
        partners.file("application.json").write_text(text, encoding="utf-8")
        said = partners.node("lender-1", "score", partners.file("application.json"))
        assert (said.code, said.out) == (2, "")
    assert _head(partners) == head
    assert "1 the same, 0 differ" in partners.good("lender-1", "replay").text
    # The second token was not spent on any of it.
    answer = partners.scored({**good, "application_id": "second", "tokens": partners.tokens("wallet-k2")})
    assert answer["signals"][0]["status"] == "used"


def _head(partners: Partners) -> str:
    log = partners.town.serving("lender-1").log()
    try:
        return log.head
    finally:
        log.close()


def test_a_token_that_cannot_be_made_costs_nothing(partners: Partners, monkeypatch: pytest.MonkeyPatch):
    partners.prepared(("wallet",))
    person, _ = partners.shared_person("wallet")
    before = kinds(partners, "wallet")
    for code, options in (
        ("no-consent", ("--person", SECRET)),
        ("kind", ("--kind", "flag")),
        ("lender", ("--lender", "stranger")),
        ("person", ("--person", "")),
        ("malformed", ("--key", "k" * 201)),
    ):
        said = partners.token("wallet", person, "k1", *options)
        assert (said.code, f"({code})" in said.text) == (1, True), said.text
        assert SECRET not in said.text
        assert person not in said.text
    assert told(partners) == (0, 0)
    # The day is charged at most once, whatever was asked.
    assert set(kinds(partners, "wallet")[len(before) :]) <= {"serve-day"}
    assert partners.token("wallet", person).code == 0
    # A clock that was a day ahead, and is right again, tells nothing until that day, and its repetitions nothing new.
    on_day(monkeypatch, 1)
    assert partners.good("wallet", "token", "charge").code == 0
    on_day(monkeypatch, 0)
    said = partners.token("wallet", person, "k2")
    assert (said.code, "(clock)" in said.text) == (1, True)
    assert told(partners) == (1, 1)
    on_day(monkeypatch, 1)
    # It may be another month's first day.
    partners.exchange_keys(("wallet",))
    assert partners.token("wallet", person).code == 0
    assert told(partners) == (1, 1)


def test_a_lender_whose_clock_is_a_day_behind_spends_no_token(partners: Partners, monkeypatch: pytest.MonkeyPatch):
    partners.prepared(("wallet",))
    person, row = partners.shared_person("wallet")
    partners.token("wallet", person)
    application = partners.town.application(person, row, tokens=partners.tokens("wallet-k1"))
    on_day(monkeypatch, -1)
    early = {**application, "as_of": str(TODAY - timedelta(days=1))}
    issued = partners.town.release().manifest.issued
    said = partners.score(early)
    if issued == TODAY:
        # The release is not for yesterday.
        assert (said.code, "release-expired" in said.text) == (2, True)
    on_day(monkeypatch, 0)
    assert partners.scored(application)["signals"][0]["status"] == "used"


def test_a_release_that_was_altered_is_used_for_nothing(partners: Partners, tmp_path: Path):
    folder = partners.prepared(("wallet",))
    person, row = partners.shared_person("wallet")
    application = partners.town.application(person, row)
    altered = Path(shutil.copytree(folder, tmp_path / "altered"))
    data = bytearray((altered / "model" / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (altered / "model" / "model.safetensors").write_bytes(bytes(data))
    said = partners.node("lender-2", "release", "approve", altered, "--yes")
    assert (said.code, "model.safetensors" in said.text) == (2, True)
    assert "admit-release" not in kinds(partners, "lender-2")

    hash = partners.town.release().hash
    for name in ("lender-1", "wallet"):
        kept = partners.town.serving(name).release_folder(hash)
        (kept / "golden.json").write_text("{}", encoding="utf-8")
    assert partners.score(application).code == 2
    assert partners.token("wallet", person).code == 2
    assert told(partners) == (0, 0)

    # A whole release, and not the one that was approved: put in its place by somebody with a key to the folder.
    second = partners.release("second")
    for name in ("lender-1", "wallet"):
        kept = partners.town.serving(name).release_folder(hash)
        shutil.rmtree(kept)
        shutil.copytree(second, kept)
    said = partners.score(application)
    assert (said.code, "another release than was approved" in said.text) == (2, True)
    assert partners.token("wallet", person).code == 2
    assert told(partners) == (0, 0)
    for name in ("lender-1", "wallet"):
        kept = partners.town.serving(name).release_folder(hash)
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
    partners.scored(application)


def test_a_full_disk_leaves_all_as_it_was(partners: Partners):
    partners.prepared(("wallet",))
    person, row = partners.shared_person("wallet")
    output = partners.file("token-wallet-k1.txt")
    with no_room_for(output.name):
        said = partners.token("wallet", person)
    assert said.code != 0
    assert "space" in said.text
    assert not output.exists()
    # It was charged and kept: asked again under its key it is the same token, and costs nothing more.
    assert told(partners) == (1, 1)
    assert partners.token("wallet", person).code == 0
    assert told(partners) == (1, 1)
    serving = partners.town.serving("lender-1")
    before = serving.pointer
    second = partners.release("second")
    partners.good("lender-1", "release", "approve", second, "--yes")
    with no_room_for("state.json"):
        assert partners.node("lender-1", "release", "use", "second").code != 0
    assert serving.pointer == before
    answer = partners.scored(partners.town.application(person, row, tokens=partners.tokens("wallet-k1")))
    assert answer["model"]["release"] == before.live


def test_a_log_that_was_put_back_scores_nobody(partners: Partners, monkeypatch: pytest.MonkeyPatch):
    partners.prepared(("wallet",))
    person, row = partners.shared_person("wallet")
    partners.token("wallet", person)
    application = partners.town.application(person, row)
    partners.scored(application)
    path = partners.town.serving("lender-1").log_file
    old = path.read_bytes()
    partners.scored({**application, "application_id": "b", "tokens": partners.tokens("wallet-k1")})
    on_day(monkeypatch, 1)
    partners.scored({**application, "application_id": "c"})
    on_day(monkeypatch, 2)
    path.write_bytes(old)
    said = partners.score({**application, "application_id": "d", "tokens": partners.tokens("wallet-k1")})
    assert (said.code, "older than the ledger" in said.text) == (1, True)
    said = partners.node("lender-1", "replay")
    assert said.code == 1
    assert "1 the same" in said.text


def test_rollback_of_releases_changes_no_answer_that_was_given(partners: Partners):
    partners.prepared(("wallet",))
    person, row = partners.shared_person("wallet")
    application = partners.town.application(person, row)
    first = partners.scored(application)
    second = partners.release("second")
    partners.good("lender-1", "release", "approve", second, "--yes")
    partners.good("lender-1", "release", "use", "second")
    other = partners.scored({**application, "application_id": "b"})
    partners.good("lender-1", "release", "rollback")
    assert partners.scored(application) == first
    assert other["model"]["release"] != first["model"]["release"]
    partners.scored({**application, "application_id": "c"})
    assert "3 the same, 0 differ" in partners.good("lender-1", "replay").text


def test_a_release_whose_withdrawal_was_broken_off_is_withdrawn_by_the_same_command(
    partners: Partners, monkeypatch: pytest.MonkeyPatch
):
    partners.prepared(("wallet",))
    serving = partners.town.serving("lender-1")

    def broken(*given: object) -> None:
        raise NodeDirError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(ServingDir, "hand_over", broken)
        assert partners.node("lender-1", "release", "withdraw", "first").code != 0
    assert serving.pointer.live in serving.handed_over[1]
    for _ in range(2):
        partners.good("lender-1", "release", "withdraw", "first")
        assert serving.pointer.live is None
        assert serving.handed_over == ("lender-1", {})
    found = verify_ledger(partners.town.node("lender-1").ledger_file)
    assert not found.findings, found.findings


def test_who_withdraws_after_a_release_ended_is_heard(partners: Partners):
    partners.prepared(("wallet",))
    person, row = partners.shared_person("wallet")
    partners.token("wallet", person)
    application = partners.town.application(person, row, tokens=partners.tokens("wallet-k1"))
    partners.scored(application)
    for name in ("wallet", "lender-1"):
        partners.good(name, "release", "withdraw", "first")
    partners.good("wallet", "token", "withdraw", "--lender", "lender-1", "--person", person)
    batch, receipt = partners.file("batch.txt"), partners.file("receipt.txt")
    partners.good("wallet", "batch", "make", "first", "--lender", "lender-1", "-o", batch)
    assert "1 token withdrawn" in partners.good("lender-1", "batch", "take", batch, "-o", receipt).text
    said = partners.node("wallet", "batch", "make", "first", "--lender", "lender-1", "-o", batch, "--receipt", receipt)
    assert "receipt of batch 1 taken" in said.text


def test_a_decision_replays_until_its_term_and_an_erased_one_not(partners: Partners, monkeypatch: pytest.MonkeyPatch):
    partners.prepared(("wallet",))
    person, row = partners.shared_person("wallet")
    partners.token("wallet", person)
    partners.scored(partners.town.application(person, row, tokens=partners.tokens("wallet-k1")))
    partners.scored(partners.town.application("p2", 2))
    partners.good("wallet", "token", "withdraw", "--lender", "lender-1", "--person", person)
    batch = partners.file("batch.txt")
    partners.good("wallet", "batch", "make", "first", "--lender", "lender-1", "-o", batch)
    partners.good("lender-1", "batch", "take", batch, "-o", partners.file("receipt.txt"))
    assert "2 the same, 0 differ, 0 erased" in partners.good("lender-1", "replay").text
    partners.good("lender-1", "erase", "--person", "p2", "--cause", "asked for it")
    assert partners.node("lender-1", "erase", "--person", "p2", "--cause", "asked for it").code == 2
    assert "1 the same, 0 differ, 1 erased" in partners.good("lender-1", "replay").text
    days = partners.town.node("lender-1").config().serving.retention_days
    on_day(monkeypatch, days)
    assert "1 the same" in partners.good("lender-1", "replay").text
    on_day(monkeypatch, days + 1)
    assert "0 the same, 0 differ, 2 erased" in partners.good("lender-1", "replay").text


def test_what_a_release_tells_is_shown_to_whoever_approves_it(partners: Partners):
    """A band of a column, by its edges: 3 bits of an income are another thing than 3 bits of a postcode."""
    folder = partners.release("first", "--capacity", "wallet:inflow:30,50")
    said = partners.node("wallet", "release", "show", folder)
    assert said.code == 0, said.text
    assert "inflow" in said.text
    assert "30, 50" in said.text
    assert isinstance(partners.town.serving("wallet"), ServingDir)
