"""From a finished run to a score that replays, by commands alone: release, approval, token, score, log, withdrawal."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest
from partners import Partners

from sealscore.clients.scoring.scorer import Scorer
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.model.signal import merged_levels

pytestmark = pytest.mark.slow


def test_a_finished_run_becomes_a_score_that_replays_until_consent_is_withdrawn(partners: Partners):
    partners.prepared()
    person, row = partners.shared_person("video-1", "wallet")
    assert partners.token("video-1", person).code == 0
    assert partners.token("wallet", person).code == 0
    application = partners.town.application(person, row, tokens=partners.tokens("video-1-k1", "wallet-k1"))
    answer = partners.scored(application)
    assert [signal["status"] for signal in answer["signals"]] == ["used", "used"]
    assert answer["model"]["role"] == "champion"

    # The same bits as the model gives from all columns together.
    release, records = partners.town.release(), partners.town.records()
    scorer = Scorer(release)
    columns = {name: values[row : row + 1] for name, values in records["lender-1"].columns.items()}
    levels = {}
    for platform, group in (("video-1", "video"), ("wallet", "wallet")):
        at = records[platform].person.index(person)
        own = {name: values[at : at + 1] for name, values in records[platform].columns.items()}
        levels[group] = merged_levels([release.content.towers[group].levels(own).tolist()])
    expected = scorer.answers("champion", scorer.bins("champion", columns, levels))[0]
    assert (answer["pd"], answer["points"]) == (expected.pd, expected.points)
    assert answer["reasons"] == list(expected.reasons)
    assert 0 < answer["pd"] < 1

    # The same body gets the same answer, another body a new version.
    assert partners.scored(application) == answer
    second = partners.scored(application | {"product": "traffic"})
    assert (second["version"], second["application_id"]) == (2, answer["application_id"])
    assert "2 the same, 0 differ" in partners.good("lender-1", "replay").text
    assert partners.good("lender-1", "replay", answer["score_id"]).code == 0

    # Withdrawal: no further token, the batch, and the level is used no more; the record stays readable by replay.
    partners.good("video-1", "token", "withdraw", "--lender", "lender-1", "--person", person)
    partners.good("video-1", "batch", "make", "first", "--lender", "lender-1", "-o", partners.file("batch.txt"))
    taken = partners.good("lender-1", "batch", "take", partners.file("batch.txt"), "-o", partners.file("receipt.txt"))
    assert "1 token withdrawn" in taken.text
    partners.good(
        *("video-1", "batch", "make", "first", "--lender", "lender-1", "-o", partners.file("batch.txt")),
        *("--receipt", partners.file("receipt.txt")),
    )
    later = partners.scored(application | {"product": "third", "application_id": "another"})
    assert [signal["status"] for signal in later["signals"]] == ["withdrawn", "other-application"]
    assert later["model"]["role"] == scorer.role({})
    assert "3 the same, 0 differ" in partners.good("lender-1", "replay").text

    # All ledgers verify, and their release can be ended.
    for name in ("lender-1", "video-1", "wallet"):
        found = verify_ledger(partners.town.node(name).ledger_file)
        assert not found.findings, found.findings
    partners.good("wallet", "release", "withdraw", "first")
    assert partners.token("wallet", person, "k2").code == 2
    partners.good("lender-1", "release", "withdraw", "first")
    assert partners.score(application).code == 1


def test_without_tokens_the_model_answers_that_knows_such_applicants(partners: Partners):
    partners.prepared()
    answer = partners.scored(partners.town.application("p00001", 0))
    scorer = Scorer(partners.town.release())
    assert answer["model"]["role"] == scorer.role({})
    assert {signal["status"] for signal in answer["signals"]} == {"none"}
    scorer.often_missing["wallet"] = False
    assert scorer.role({}) == "fallback"
    assert scorer.role({"wallet": [1]}) == ("champion" if scorer.often_missing["video"] else "fallback")
    scored = scorer.score({"income": 10.0, "late": 3.0}, {})
    assert scored.role == "fallback"
    assert all(not reason["code"].startswith("signal.") for reason in scored.reasons)


def test_an_altered_log_is_found(partners: Partners):
    partners.prepared()
    for number in range(3):
        partners.scored(partners.town.application(f"p{number}", number))
    assert partners.good("lender-1", "replay").code == 0
    path = partners.town.serving("lender-1").log_file
    with sqlite3.connect(path) as database:
        database.executescript(
            "DROP TRIGGER lines_last; DELETE FROM lines WHERE seq = 4; DELETE FROM commits WHERE seq = 4;"
        )
    # The head beside it shows a log that was cut at a signature, whose own file does not.
    assert partners.node("lender-1", "replay").code == 1
    path.with_suffix(".head").unlink()
    # Without it nothing does before the next day; then the head in the ledger.
    assert partners.node("lender-1", "replay").code == 0
    with sqlite3.connect(path) as database:
        database.executescript("DROP TRIGGER lines_stay; UPDATE lines SET at = '2020-01-01T00:00:00Z' WHERE seq = 1;")
    said = partners.node("lender-1", "replay")
    assert said.code == 1
    assert "line 1 was altered" in said.text


def test_what_is_logged_has_no_identifier_in_the_clear(partners: Partners):
    partners.prepared()
    person, row = partners.shared_person("wallet")
    partners.token("wallet", person)
    partners.scored(partners.town.application(person, row, tokens=partners.tokens("wallet-k1")))
    content = partners.town.serving("lender-1").log_file.read_bytes()
    assert person.encode() not in content
    assert b"app-" not in content


def test_the_answer_is_json_with_both_languages(partners: Partners):
    partners.prepared()
    answer = partners.scored(partners.town.application("p1", 1))
    assert json.loads(json.dumps(answer)) == answer
    for reason in answer["reasons"]:
        assert reason["en"]
        assert reason["zh"]
        assert reason["points"] > 0
    assert np.isfinite(answer["pd"])
