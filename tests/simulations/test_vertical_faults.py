"""Bad input between lenders and platforms: one clear message with the place and the fix, a code, and no run folder.

Each job is the packaged synthetic one with few creators and without noise, spoilt in one place. A payload is spoilt at
the party that makes it, before it is sealed: nobody on the way could.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sealscore.clients.node.node import Node
from sealscore.clients.roles.pairing import Pairs
from sealscore.shared.crypto import psi
from sealscore.shared.crypto.alignment import ExactMatching, Matching
from sealscore.shared.crypto.psi import PrivateMatching
from sealscore.shared.messages.messages import PairAnswer, Reply, Request
from sealscore.shared.plan.plan import Plan
from sealscore.simulations import cli
from sealscore.simulations.data.scenario import resolve
from sealscore.simulations.engine import engines
from sealscore.simulations.engine.federation import Federation

TEXT = resolve("synthetic_vertical_eps2").read_text(encoding="utf-8")
CHANGES = {
    "creators = 15_000": "creators = 600",
    "nominal_records = 9_000": "nominal_records = 360",
    "min_overlap = 1000": "min_overlap = 20",
    "rounds = 50": "rounds = 2",
    # Where the alignment itself is not what is spoilt, it is the one that costs no time.
    'identifier = "creator-id"': 'method = "exact"\nidentifier = "creator-id"',
    "epsilon = 2.0\ndelta": 'noise = "none"\nepsilon = 2.0\ndelta',
    "signal_weight = 2.0": "signal_weight = 2.0\nsignal_levels = 10",
}
PRIVATE = {'method = "exact"': 'method = "private"'}
BOTH = pytest.mark.parametrize("method", [{}, PRIVATE], ids=["exact", "private"])


class Outcome:
    def __init__(self, code: int, said: str, folders: list[Path]) -> None:
        self.code, self.said, self.folders = code, said, folders


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the small job with changes of its text (old to new) through the program."""
    monkeypatch.setenv("COLUMNS", "400")

    def call(changes: Mapping[str, str] | None = None) -> Outcome:
        text = TEXT
        for old, new in (*CHANGES.items(), *(changes or {}).items()):
            assert old in text, old
            text = text.replace(old, new)
        (tmp_path / "job.toml").write_text(text, encoding="utf-8")
        arguments = ["run", str(tmp_path / "job.toml"), "--no-baselines", "--runs", str(tmp_path / "runs")]
        monkeypatch.setattr(sys, "argv", ["sealscore-sim", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        written = capsys.readouterr()
        runs = tmp_path / "runs"
        found = list(runs.iterdir()) if runs.exists() else []
        return Outcome(int(stopped.value.code or 0), " ".join((written.out + written.err).split()), found)

    return call


def spoil(monkeypatch: pytest.MonkeyPatch, party: str, phase: str, change: Callable[[bytes], bytes]) -> None:
    """From now on, a party's payloads in a phase leave it changed."""

    class Spoilt:
        def __init__(self, node: Node) -> None:
            self.plan, self.name, self.plan_ledger = node.plan, node.name, node.plan_ledger
            self.disclosure_store = node.disclosure_store
            self._node = node

        def respond(self, request: Request, key: str) -> Reply:
            reply = self._node.respond(request, key)
            if not isinstance(reply, PairAnswer) or reply.header.phase.split(":")[0] != phase or not reply.body:
                return reply
            return PairAnswer(reply.header, change(reply.body))

    plain = Federation.of

    def of(*given: Any) -> Federation:
        made = plain(*given)
        made.doors[party]._node = Spoilt(made.nodes[party])  # type: ignore[assignment]
        return made

    monkeypatch.setattr(engines.Federation, "of", staticmethod(of))


def refused(found: Outcome, *words: str, code: int = 1) -> None:
    assert found.code == code, found.said
    assert found.folders == []
    for piece in words:
        assert piece in found.said, found.said
    assert "Traceback" not in found.said


def test_the_job_as_it_is_runs(run: Any):
    found = run(PRIVATE)
    assert found.code == 0, found.said
    assert len(found.folders) == 1


class TestAlignment:
    @BOTH
    def test_no_overlap_since_each_writes_identifiers_in_its_own_way(self, run: Any, method: dict[str, str]):
        refused(
            run({'identifier = "creator-id"': 'identifier = "exact"', **method}),
            "pairs share fewer persons than the plan's alignment.min_overlap",
            "lender-1 shares no person with video-1, and the plan's alignment.min_overlap is 20",
            "video-1 shares no person with lender-1, and the plan's alignment.min_overlap is 20",
            "check that both write identifiers alike (alignment.identifier = 'exact')",
        )

    @BOTH
    def test_an_overlap_below_the_plans_minimum(self, run: Any, method: dict[str, str]):
        refused(
            run({"min_overlap = 20": "min_overlap = 800", **method}),
            "lender-1 shares",
            "persons with video-1, and the plan's alignment.min_overlap is 800",
            "or have the minimum lowered",
        )

    def test_hardly_anybody_consented(self, run: Any):
        refused(
            run({"consent = 0.95": "consent = 0.01"}),
            "the plan's alignment.min_overlap is 20",
            "that consents name the other side",
        )

    @BOTH
    def test_a_platform_with_another_idea_of_the_normal_form(
        self, run: Any, monkeypatch: pytest.MonkeyPatch, method: dict[str, str]
    ):
        """Two versions of the software under one plan: found before a single identifier is compared."""
        plain = Pairs.matching

        def other(self: Pairs, lender: str, platform: str) -> Matching:
            made = plain(self, lender, platform)
            if self._party == lender:
                return made
            if isinstance(made, PrivateMatching):
                return PrivateMatching("exact", made.size, made.others)
            assert isinstance(made, ExactMatching)
            return ExactMatching(made._salt, "exact", made.size)

        monkeypatch.setattr(Pairs, "matching", other)
        refused(
            run(method),
            "video-1 gave nothing for lender-1 at step 2",
            "video-1 cannot align with lender-1: the other side writes identifiers in another normal form than 'exact'",
            "run one version of Sealscore on both sides",
        )

    def test_a_platform_that_claims_to_know_everybody(self, run: Any, monkeypatch: pytest.MonkeyPatch):
        spoil(monkeypatch, "video-1", "align", lambda body: b"\xff" * len(body))
        refused(
            run(),
            "lender-1 goes on as if it shared nobody with video-1: the platform claims to know entries",
            "ask its operator",
        )

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda body: body[:33] * (len(body) // 33), "the platform's response has a person twice"),
            (
                lambda body: b"".join(body[at : at + 33] * 2 for at in range(0, 512 * 33, 66)) + body[512 * 33 :],
                "the platform's response uses one of its persons for two",
            ),
            (
                lambda body: b"\xff" * (len(body) // 2) + body[len(body) // 2 :],
                "the platform's response has entries that are no points of the curve",
            ),
        ],
        ids=["a person twice", "one for all", "no points"],
    )
    def test_a_private_response_that_is_none(self, run: Any, monkeypatch: pytest.MonkeyPatch, change: Any, words: str):
        plain = psi._filled
        # Persons before filling, so that it is not left to chance which of the two is found to be wrong first.
        monkeypatch.setattr(psi, "_filled", lambda *given: sorted(plain(*given), key=lambda item: item[1] is None))
        spoil(monkeypatch, "video-1", "align", change)
        refused(run(PRIVATE), f" with video-1: {words}", "ask its operator")

    @pytest.mark.parametrize("change", [lambda body: body[:-1], lambda body: body + b"\0"], ids=["short", "long"])
    def test_a_response_of_another_size(self, run: Any, monkeypatch: pytest.MonkeyPatch, change: Any):
        spoil(monkeypatch, "video-1", "align", change)
        refused(run(), "lender-1 cannot align with video-1: a response of this pair has 64 bytes, not 6")

    @pytest.mark.parametrize("change", [lambda body: body[:-1], lambda body: body + b"\0"], ids=["short", "long"])
    def test_a_private_response_of_another_size(self, run: Any, monkeypatch: pytest.MonkeyPatch, change: Any):
        spoil(monkeypatch, "video-1", "align", change)
        refused(
            run(PRIVATE),
            "lender-1 cannot align with video-1: a response of this pair has 512 and 512 entries",
            "ask its operator",
        )

    def test_a_lender_with_more_persons_than_its_messages_hold_stops_at_its_own_check(self, run: Any):
        """Twice the nominal records pass as records; the messages of an alignment hold fewer."""
        refused(
            run({"nominal_records = 360": "nominal_records = 200"}),
            "lender-1.parquet",
            "persons do not fit into messages of 256 entries, as parties.0.nominal_records is 200",
            "fix: have parties.0.nominal_records of the plan raised to about",
            code=2,
        )


class TestSignal:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda body: body[:-8], "a payload of this pair has 288 bytes, this one has 280"),
            (lambda body: b"", "a payload of this pair has 288 bytes, this one has 0"),
            (lambda body: bytes(32) + body[32:], "a payload speaks of handles that this pair does not have"),
            (lambda body: body[:32] + b"\xff" * (len(body) - 32), "a payload has a number that is not below 10"),
        ],
        ids=["too few levels", "none", "unknown handles", "a level out of range"],
    )
    def test_levels_that_cannot_be_used(self, run: Any, monkeypatch: pytest.MonkeyPatch, change: Any, words: str):
        spoil(monkeypatch, "wallet", "disclose_signal", change)
        refused(
            run(),
            "disclose_signal:wallet: lender-1 gave nothing for wallet at step 2: refused: unavailable",
            f"lender-1 was sent a payload by wallet that it cannot use: {words}",
            "ask the operator of wallet which version of Sealscore and which plan it runs",
        )

    def test_bits_that_are_used_up(self, run: Any, monkeypatch: pytest.MonkeyPatch):
        """Another plan has told four bits of each person before; this one's tower is another."""
        plain, federations = Federation.of, []

        def of(plan: Plan, records: Any, *more: Any) -> Federation:
            made = plain(plan, records, *more)
            role = made.nodes["video-2"].role
            told = dict.fromkeys(records["video-2"].person, 1)
            role._lifetime.disclosed.spend("signal", "an earlier tower", 4, 16, told, 4)
            federations.append(made)
            return made

        monkeypatch.setattr(engines.Federation, "of", staticmethod(of))
        found = run()
        assert found.code == 0, found.said
        # Only the platform's own operator is told that fills were sent.
        told = [words for words in federations[0].faults if words.startswith("video-2 tells")]
        assert [words.split()[2] for words in told] == ["lender-1", "lender-2"]
        assert all("no more than 4 bits of a person may ever be disclosed" in words for words in told)

    def test_more_levels_than_the_plans_bits_is_no_plan(self, run: Any):
        refused(
            run({"signal_levels = 10": "signal_levels = 17"}),
            "model.signal_levels = 17: needs 5 bits a person, and privacy.signal_bits allows 4",
            code=2,
        )


class TestLabels:
    def test_labels_outside_the_window(self, run: Any):
        refused(
            run({"cutoff = 2025-12-31": "cutoff = 2025-06-30"}),
            "lender-1.parquet, column 'applied'",
            "records are dated after 2024-06-30, so their performance window of 365 days had not closed by 2025-06-30",
            "fix: leave them out, or move outcome.cutoff in the plan",
            code=2,
        )

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda body: body[:-1], "a payload of this pair has 96 bytes, this one has 95"),
            (lambda body: bytes(32) + body[32:], "a payload speaks of handles that this pair does not have"),
        ],
        ids=["too few", "other handles"],
    )
    def test_labels_that_cannot_be_used(self, run: Any, monkeypatch: pytest.MonkeyPatch, change: Any, words: str):
        spoil(monkeypatch, "lender-2", "release_labels", change)
        refused(
            run(),
            "release_labels:short-video: video-1 gave nothing for lender-2 at step 2: refused: unavailable",
            f"video-1 was sent a payload by lender-2 that it cannot use: {words}",
            "ask the operator of lender-2",
        )

    def test_a_plan_with_platforms_and_no_label_epsilon_is_no_plan(self, run: Any):
        refused(
            run({"label_epsilon = 2.0\n": "", 'noise = "none"\n': ""}),
            "privacy.label_epsilon: a plan with platforms needs one",
            code=2,
        )


class TestWords:
    def test_what_the_operator_reads_names_no_person(self, run: Any, monkeypatch: pytest.MonkeyPatch):
        spoil(monkeypatch, "wallet", "disclose_signal", lambda body: body[:-8])
        said = run().said.lower()
        assert "c000" not in said
        assert "a000" not in said
