"""The compliance report: whole, self-contained, true to the ledgers, and harmless whatever they say."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ledger_files import (
    LAST,
    PARTY,
    PLATFORM,
    RUN,
    answer,
    append_raw,
    approval,
    copy_of,
    disclose,
    enrolled_plan,
    every_kind,
    mechanisms_of,
    members,
    new_ledger,
    reserve,
    spoil,
)
from pages import Reader, sound
from vertical_builders import federation_of, vertical_plan

from sealscore.compliance.figures.joint import joint_claims
from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.figures.worries import ASKED, worries
from sealscore.compliance.ledger_report.report import write_compliance_report
from sealscore.compliance.run_figures.record import NotARun
from sealscore.compliance.verify.checks import CheckOutcome, LedgerVerdict, checks_of
from sealscore.compliance.verify.verification import Fault
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.dp.events import NoNoise
from sealscore.shared.ledger.chain import AnchorError, to_line
from sealscore.shared.ledger.entries import Ceilings, Refuse, Settle
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.numbers import UNKNOWN, short
from sealscore.simulations.engine.federation import Federation

SECTIONS = (
    *("glance", "claim", "budgets", "timeline", "collusion", "joint", "told", "labels", "scoring", "unusual"),
    *("refused", "withdrawn", "verification", "model", "glossary", "record"),
)
OF_A_RUN = ("groups", "reasons")
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \u202e& http://example.org"


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ledgers that tests only read."""
    return tmp_path_factory.mktemp("ledgers")


@pytest.fixture(scope="module")
def every(ledgers: Path) -> Path:
    """A ledger with every kind of entry."""
    ledger = new_ledger(ledgers / "every.db")
    every_kind(ledger)
    ledger.close()
    return ledgers / "every.db"


def written(folder: Path, *ledgers: Path, **more: Any) -> tuple[str, str]:
    """The words and the document of the report of these ledgers."""
    path = write_compliance_report(ledgers, folder / "report.html", **more)
    assert path == folder / "report.html"
    document = path.read_text(encoding="utf-8")
    return sound(document), document


def used(ledger: Ledger, plan: Plan, rounds: int = 2, settle: bool = False) -> None:
    """Approve a plan, and answer its bins and some rounds of training."""
    ledger.append(lambda state: approval(plan))
    for kind, number in [(Kind.BIN, 1), *((Kind.TRAIN, number) for number in range(1, rounds + 1))]:
        entry = reserve(plan, kind, number, group=plan.party(ledger.party).group)
        seq = ledger.append(lambda state, entry=entry: entry)  # type: ignore[misc]
        ledger.append(lambda state, entry=entry, seq=seq: answer(entry, seq))  # type: ignore[misc]
    if settle:
        ledger.append(lambda state: Settle(plan=plan.hash, why="done"))


def quick(name: str = "quick", **changes: Any) -> Plan:
    """A plan that takes all records in every round: its claims are computed in a moment."""
    return enrolled_plan(name, training__sample_rate=1.0, **changes)


def weekly() -> Iterator[float]:
    """A clock that goes on by a week at every look."""
    day = datetime(2031, 1, 6, tzinfo=UTC).timestamp()
    while True:
        yield day
        day += 7 * 86400


class TestALedgerWithEveryKind:
    def test_all_sections_are_there(self, every: Path, tmp_path: Path):
        text, document = written(tmp_path, every)
        assert [key for key in Reader(document).parts if key] == list(SECTIONS)
        assert UNKNOWN not in text
        assert Reader(document).count("svg") >= 5
        assert "No run was given" in text

    def test_it_holds_the_figures_of_the_check(self, every: Path, tmp_path: Path):
        text, document = written(tmp_path, every)
        found = verify_ledger(every)
        assert found.claim is not None
        assert LedgerVerdict.UNANCHORED.value in Reader(document).classes("aside")
        plan = enrolled_plan()
        for claim in found.claims:
            assert f"{claim.epsilon:.3f}" in text
            assert f"{claim.epsilon_alone:.3f}" in text
        spent = found.claim.epsilon
        # The live plans are over, so what is left is the ceiling less what was spent.
        assert f"{spent:.3f} spent, {5 - spent:.3f} left of 5" in text
        glance = Reader(document).section("glance")
        # The worst recipient, a platform that has the noisy labels, is in the bold sentence and in the first card.
        worst = LedgerReview.of([every], None, [], False).recipients[0]
        assert worst.names == (PLATFORM,)
        assert worst.labels
        against = worst.epsilon
        assert against > spent
        assert glance.count(f"{against:.3f}") == 2
        assert glance.index(short(math.exp(against))) < glance.index(short(math.exp(spent)))
        for hashed in (plan.hash, enrolled_plan("revoked").hash, found.ledger):
            assert hashed in text
        assert found.card is not None
        assert found.card.fingerprint in text
        assert "dp-accounting" in text
        assert "adding or removing one person" in text

    def test_what_was_told_refused_and_withdrawn(self, every: Path, tmp_path: Path):
        text, document = written(tmp_path, every)
        told = Reader(document).section("told")
        bits = enrolled_plan().model.signal_bits
        assert f"{PARTY} {PLATFORM} membership 1 bit 40 40 1" in told
        assert f"{PLATFORM} {PARTY} signal {bits} bits 40 40 1" in told
        assert f"{PARTY} {PLATFORM} noisy labels label epsilon 1 40 40 1" in told
        assert "label epsilon 1.00 of 2" in text
        assert "26.9 %" in text  # a coin of label epsilon 1 flips 1 / (1 + e)
        assert "bad cohort 1" in text
        assert "Train the tower (lender), round 4, attempt 1" in text
        assert "Reservations given up before an answer left" in text
        assert "not asked" in text
        assert f"passed on to {PLATFORM} 2" in text
        assert "as the board decided" in text
        assert "revoked: another plan took its place" in text
        assert "ended: done" in text

    def test_at_most_three_questions_are_on_page_one_and_the_rest_below(self, every: Path, tmp_path: Path):
        review = LedgerReview.of([every], None, [], False)
        found = worries(review)
        page = Reader(written(tmp_path, every)[1])
        first, rest = page.section("glance"), page.section("unusual")
        asks = [one.ask for one in found if one.ask]
        assert len(asks) > ASKED
        assert [ask in first for ask in asks] == [True] * ASKED + [False] * (len(asks) - ASKED)
        assert all(one.what in rest for one in found)
        for count in (f"1 at {PARTY}", f"2 at {PARTY}"):
            assert count in rest
        # Of two lenders each adds the whole noise, so there is nothing to put together.
        assert not any(f"{party.whole.claim.epsilon_alone:.3f}" in rest for party in review.parties if party.whole)

    def test_a_shared_noise_is_unusual(self, tmp_path: Path):
        plan, path = enrolled_plan(), tmp_path / "shared.db"
        new_ledger(path, PARTY, Ceilings(epsilon=5.0, delta=1e-5)).close()
        for entry in (approval(plan), reserve(plan, Kind.BIN, max_colluding=0, own_noise=2**-0.5)):
            append_raw(path, entry)
        _, document = written(tmp_path, path)
        [claim, *_] = verify_ledger(path).claims
        assert claim.epsilon_alone > claim.epsilon
        assert f"{claim.epsilon_alone:.3f}" in Reader(document).section("unusual")

    def test_anchors_are_told_apart(self, every: Path, tmp_path: Path):
        ledger = Ledger(copy_of(every, tmp_path), members()[PARTY])
        anchor = ledger.head
        ledger.append(lambda state: Refuse(plan="ab" * 32, run=RUN, phase="bin", round=1, attempt=1, code="unknown"))
        ledger.close()
        (tmp_path / "anchors").write_text(to_line(anchor) + "\n", encoding="ascii")
        _, document = written(tmp_path, tmp_path / "copy.db", anchors=[tmp_path / "anchors"])
        page = Reader(document)
        assert f"{PARTY}: the last anchor is of entry {LAST}; entries after it: 1." in page.section("unusual")
        assert page.classes("aside")[0] == LedgerVerdict.VERIFIED.value
        (tmp_path / "anchors").write_text("{}\n", encoding="ascii")
        with pytest.raises(AnchorError):
            written(tmp_path, every, anchors=[tmp_path / "anchors"])

    def test_the_same_files_give_the_same_bytes(self, every: Path, tmp_path: Path):
        before = every.read_bytes()
        assert written(tmp_path, every)[1] == written(tmp_path, every)[1]
        assert every.read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


class TestOtherLedgers:
    def test_no_plan_yet(self, tmp_path: Path):
        new_ledger(tmp_path / "new.db").close()
        text, document = written(tmp_path, tmp_path / "new.db")
        outcomes = {check.fault: check.outcome for check in checks_of(verify_ledger(tmp_path / "new.db"))}
        for fault in (Fault.PLAN, Fault.SOURCE, Fault.BUDGET, Fault.ANCHOR):
            assert outcomes[fault] is CheckOutcome.NOTHING
        assert Reader(document).section("verification").count("nothing to check") == 4
        assert "No plan has been approved yet: nothing is spent and nothing set aside." in text
        assert "Nothing has been released, so there is nothing to show." in text
        assert "0.000 spent, 5.000 left of 5" in text

    def test_what_a_live_plan_may_still_use_is_set_aside(self, tmp_path: Path):
        plan = quick()
        ledger = new_ledger(tmp_path / "live.db")
        used(ledger, plan)
        ledger.close()
        text, _ = written(tmp_path, tmp_path / "live.db")
        spent = next(claim.epsilon for claim in verify_ledger(tmp_path / "live.db").claims if claim.scope == "plan")
        own = [phase for phase in mechanisms_of(plan).phases if phase.group == plan.lenders]
        planned = mechanisms_of(plan).claim(lambda phase: phase.attempts if phase in own else 0)
        shown = next(part for part in text.split("aside") if f"{spent:.3f} spent, " in part)
        aside = float(shown.rsplit("spent, ", 1)[1].split(" set")[0])
        assert planned - spent <= aside + 1e-3
        assert f"{spent:.3f} spent, {aside:.3f} set aside" in text

    def test_many_plans_and_months(self, tmp_path: Path):
        clock = weekly()
        ledger = new_ledger(tmp_path / "many.db", clock=lambda: next(clock))
        for number in range(52):
            used(ledger, quick(f"week-{number:02}", seed=number), rounds=1, settle=number < 51)
        ledger.close()
        text, document = written(tmp_path, tmp_path / "many.db")
        for number in range(52):
            assert text.count(f"week-{number:02}") >= 2
        assert "Plans 27 to 52, at delta" in text
        assert "by the day: as the party's clock had it." in text
        assert "the 20 of 52 plans that cost most" in text
        assert Reader(document).count("svg") >= 6

    def test_several_parties(self, tmp_path: Path):
        plan = quick()
        paths = []
        for name in ("lender-1", "lender-2", PLATFORM):
            ledger = new_ledger(tmp_path / f"{name}.db", name)
            used(ledger, plan, rounds=1 if name == "lender-2" else 2)
            ledger.close()
            paths.append(tmp_path / f"{name}.db")
        text, document = written(tmp_path, *paths)
        [joint] = joint_claims(verify_ledger(path) for path in paths)
        assert f"Over 1 plan and 3 ledgers, epsilon of such a person is {joint.epsilon:.3f} at delta" in text
        # Page one speaks of the person at all of them, and not of the ledger that spent most.
        first = Reader(document).section("glance")
        assert f"(epsilon {joint.epsilon:.3f})" in first
        assert joint.epsilon > max(verify_ledger(path).claims[0].epsilon for path in paths)
        # Whose ledgers are missing stands in the verdict, and nothing is said of all together.
        assert joint.missing == ("video-2", "wallet")
        assert "video-2 and wallet" in first[: first.index(PARTY)]
        assert "all ledgers together" not in text
        assert "all of them together" not in text

    def test_without_noise_nothing_is_claimed(self, tmp_path: Path):
        plan = quick("bare", privacy__noise="none", privacy__label_epsilon=1.0)
        ledger = new_ledger(tmp_path / "bare.db", ceilings=Ceilings(epsilon=None, delta=1e-5))
        ledger.append(lambda state: approval(plan))
        entry = reserve(plan, Kind.BIN, event=NoNoise(count=1, what="bin:lender"), own_noise=0.0)
        ledger.append(lambda state: entry)
        ledger.close()
        text, document = written(tmp_path, tmp_path / "bare.db")
        assert "no bound" in Reader(document).section("glance")
        assert "spent without any bound" in text
        assert "what was released carries no noise, so there is no epsilon to show" in text
        # A real node takes no such plan.
        assert Reader(document).classes("aside")[0] == LedgerVerdict.FAILED.value

    def test_a_changed_ledger_is_shown_up_on_page_one(self, every: Path, tmp_path: Path):
        mine = copy_of(every, tmp_path)
        spoil(mine, ("UPDATE entries SET at = '2001-01-01T00:00:00Z' WHERE seq = 8", ()))
        page = Reader(written(tmp_path, mine, every)[1])
        finding = next(found for found in verify_ledger(mine).findings if found.seq == 8)
        assert page.classes("aside")[0] == LedgerVerdict.FAILED.value
        # No code stands on page one.
        assert f"{PARTY}, entry 8: {finding.what}" in page.section("glance")
        assert f"({finding.code})" not in page.text
        assert finding.what in page.section("verification")

    @pytest.mark.parametrize("content", [None, b"", b"no ledger at all", b"SQLite format 3\0" + bytes(200)])
    def test_what_is_no_ledger_is_reported_too(self, tmp_path: Path, content: bytes | None):
        path = tmp_path / "other.db"
        if content is not None:
            path.write_bytes(content)
        page = Reader(written(tmp_path, path)[1])
        assert page.classes("aside")[0] == LedgerVerdict.FAILED.value
        assert verify_ledger(path).findings[0].what in page.section("verification")

    def test_a_clock_that_went_back_and_nonsense_for_a_time(self, every: Path, tmp_path: Path):
        clock = iter([2e9, 2e9 + 40 * 86400, *(2e9 - 86400 * k for k in range(40))])
        ledger = new_ledger(tmp_path / "clock.db", clock=lambda: next(clock))
        used(ledger, quick())
        ledger.close()
        text, _ = written(tmp_path, tmp_path / "clock.db")
        assert "a clock was set back" in text
        mine = copy_of(every, tmp_path)
        spoil(mine, ("UPDATE entries SET at = 'soon' WHERE seq > 3", ()))
        assert "no date" in written(tmp_path, mine)[0]

    def test_no_ledger_makes_no_report(self, tmp_path: Path):
        with pytest.raises(ValueError, match="at least one ledger"):
            write_compliance_report([], tmp_path / "report.html")


def test_hostile_text_stays_text(tmp_path: Path):
    data = json.loads(quick("hostile").canonical())
    data["purpose"], data["outcome"]["definition"] = HOSTILE, f"bad {HOSTILE}"
    plan = Plan.parse(data)
    ledger = Ledger.create(tmp_path / "hostile.db", members()[PARTY], HOSTILE, Ceilings(epsilon=5.0, delta=1e-5))
    used(ledger, plan)
    ledger.close()
    where = {"plan": "ab" * 32, "round": 1, "attempt": 1}
    append_raw(ledger.path, Refuse(**where, run=HOSTILE, phase=HOSTILE, code="unknown", why=HOSTILE))  # type: ignore[arg-type]
    append_raw(ledger.path, disclose(plan, Kind.LABELS, 1, what=HOSTILE))  # type: ignore[arg-type]
    append_raw(ledger.path, disclose(plan, Kind.SIGNAL, 2, peer=HOSTILE, what=HOSTILE))  # type: ignore[arg-type]
    append_raw(ledger.path, f'{{"kind":"{HOSTILE[:8]}"}}')  # type: ignore[arg-type]
    document = write_compliance_report([tmp_path / "hostile.db"], tmp_path / "r.html").read_text(encoding="utf-8")
    text = sound(document.replace("http://example.org", ""))
    assert text.count("<script>alert(1)</script>") >= 6
    assert "<script" not in document
    assert "<img" not in document
    assert "\u202e" not in document


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ran")
    plan = vertical_plan(privacy__epsilon=3.0, training__sample_rate=1.0)
    Federation.of(plan, federation_of(plan), ledgers=folder / "ledgers").run(folder / "run")
    return folder


class TestARun:
    def test_model_fairness_and_reasons(self, ran: Path, tmp_path: Path):
        ledgers = sorted((ran / "ledgers").glob("*.db"))
        text, document = written(tmp_path, *ledgers, run=ran / "run", simulation=True)
        record = json.loads((ran / "run" / "run.json").read_text(encoding="utf-8"))
        assert set(Reader(document).parts) >= {*SECTIONS, *OF_A_RUN}
        assert "Every answer that the run's record speaks of is charged" in text
        epsilon = f"{record['privacy']['epsilon']:.3f}"
        assert f"epsilon of such a person is {epsilon} at delta" in text
        assert text.count(epsilon) >= 4
        assert "approval-rate ratio" in text
        assert "good approved: gap" in text
        assert "bad rate less mean PD" in text
        assert "of applicants get at least one reason that raises their PD" in text
        # Seeds that were let pass are no check that passed.
        passes = [check for path in ledgers for check in checks_of(verify_ledger(path, simulation=True))]
        assert {check.outcome for check in passes if check.fault is Fault.SOURCE} == {CheckOutcome.SKIPPED}
        # The plan's hash stands in the record of the report alone.
        plan = next(iter(verify_ledger(ledgers[0], simulation=True).state.plans))  # type: ignore[union-attr]
        assert document.count(plan) == Reader(document).section("record").count(plan) == 1

    def test_a_ledger_that_leaves_out_what_the_run_says(self, ran: Path, tmp_path: Path):
        [path] = (ran / "ledgers").glob("lender-1.db")
        mine = copy_of(path, tmp_path)
        spoil(mine, ("DELETE FROM entries WHERE seq > (SELECT MAX(seq) FROM entries) - 6", ()))
        text, _ = written(tmp_path, mine, run=ran / "run", simulation=True)
        assert "of the run exceed what ledgers charged: a ledger leaves out what was answered" in text
        assert "NO" in text

    def test_ledgers_of_another_plan(self, ran: Path, every: Path, tmp_path: Path):
        text, _ = written(tmp_path, every, run=ran / "run")
        assert ", which no ledger here approved." in text
        assert "No ledger given here has approved the plan of this run" in text

    def test_a_folder_without_a_run(self, every: Path, tmp_path: Path):
        with pytest.raises(NotARun):
            written(tmp_path, every, run=tmp_path)
