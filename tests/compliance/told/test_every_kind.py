"""Every kind of disclosure that phases or releases know is in the report, in "not covered", and in the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from counted_loans import counts_plan
from ledger_files import PARTY, PLATFORM, append_raw, approval, disclose, enrolled_plan, members, new_ledger, reserve
from pages import Reader
from serving_entries import MEANING, admit, manifest, platform_ledger, served

from sealscore.compliance.figures.registry import registry_record
from sealscore.compliance.ledger_report.report import write_compliance_report
from sealscore.compliance.told.kinds import OF_PHASE, OF_SERVING, OTHER, TOLD_KINDS
from sealscore.compliance.told.rows import bits_received, told_rows
from sealscore.compliance.verify.account import Account
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.dp.events import Disclosure
from sealscore.shared.ledger.entries import Ceilings, TellLimit
from sealscore.shared.phases.kind import Kind, PairedKind
from sealscore.shared.phases.order import KINDS
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.serving.manifest import Capacity, Flag, Told, WatchRule
from sealscore.shared.serving.manifest import Kind as ServedKind

# Phases in which something leaves that is no sum, but that of agreeing on an earlier signal; and counts of loans.
PHASES = [kind for kind, one in KINDS.items() if isinstance(one, PairedKind) and kind is not Kind.REUSE]
SERVED = get_args(ServedKind)


def counting_plan() -> Plan:
    """A plan of counts with the cards of `members`."""
    data = counts_plan().model_dump(mode="json")
    cards = {name: identity.card.text for name, identity in members().items()}
    data |= {"server_card": cards[SERVER]}
    data["parties"] = [one | {"card": cards[one["name"]]} for one in data["parties"] if one["name"] in cards]
    return Plan.parse(data)


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A platform that tells all that a release can, the wallet with its bands, and a lender that counts."""
    folder, plan = tmp_path_factory.mktemp("told"), enrolled_plan()
    everything = Told(
        **{"meaning": MEANING, "signal_bits": 3, "capacity": Capacity(column="views", edges=(1.0, 2.0))},
        **{"flag": Flag(column="anomaly", above=0.5), "reasons": ("views", "shop")},
        watch=WatchRule(worst=0.1, quarters=4),
    )
    release = manifest(told={"video": everything}, monitoring_code="early-warning")
    limits = {kind: TellLimit(month=8, life=64) for kind in everything.bits}
    video = platform_ledger(folder / "video.db", admit(release, limits), served(release, "2031-01-05"))
    lender = new_ledger(folder / "lender.db", PARTY, Ceilings(epsilon=5.0, delta=1e-5))
    lender.close()
    bands: dict[str, Any] = {"peer": "wallet", "group": "wallet", "event": Disclosure(bits=2, recipient=PARTY, count=1)}
    entries = [
        *(approval(plan), disclose(plan, Kind.ALIGN, 3), disclose(plan, Kind.LABELS, 1)),
        disclose(plan, Kind.GROUPS, 1, **bands),
        *(approval(counting_plan()), reserve(counting_plan(), Kind.PASSAGES)),
    ]
    for entry in entries:
        append_raw(folder / "lender.db", entry)
    return [folder / "lender.db", video]


@pytest.fixture(scope="module")
def page(ledgers: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Reader:
    path = write_compliance_report(ledgers, tmp_path_factory.mktemp("page") / "report.html")
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def record(ledgers: list[Path]) -> list[dict[str, Any]]:
    deployments: list[dict[str, Any]] = registry_record([verify_ledger(path) for path in ledgers])["deployments"]
    return deployments


@pytest.mark.parametrize(
    "key",
    [*(OF_PHASE.get(kind, f"no row for {kind}") for kind in [*PHASES, Kind.PASSAGES])]
    + [OF_SERVING.get(kind, f"no row for {kind}") for kind in SERVED],
)
def test_all_three_show_it_with_its_data_fields(key: str, page: Reader, record: list[dict[str, Any]]):
    kind = TOLD_KINDS[key]
    rows = [row for deployment in record for row in deployment["disclosures"] if row["kind"] == key]
    assert rows
    assert all(row["data_fields"] for row in rows)
    assert kind.title() in page.section("told")
    assert all(field in page.section("told") for row in rows for field in row["data_fields"])
    assert kind.beyond() in page.section("claim")
    assert any(kind.beyond() in one["deployment"]["dp_flavor"]["unprotected_quantities"] for one in record)


def test_no_kind_is_left_that_nothing_tells():
    assert {*OF_PHASE.values(), *OF_SERVING.values(), OTHER} == set(TOLD_KINDS)


def test_fields_are_the_plans(record: list[dict[str, Any]]):
    fields = {
        row["kind"]: row["data_fields"] for one in record for row in one["disclosures"] if row["stage"] != "scoring"
    }
    assert fields["bands"] == ["region"]
    assert fields["labels"] == ["bad"]
    assert fields["signal"] == ["views", "shop"]
    assert fields["counts"][:1] == ["sector_0"]


def test_a_disclosure_of_no_known_phase_is_shown_and_counted(tmp_path: Path):
    new_ledger(tmp_path / "odd.db").close()
    append_raw(tmp_path / "odd.db", approval(enrolled_plan()))
    append_raw(
        tmp_path / "odd.db", disclose(enrolled_plan(), Kind.ALIGN, 3).model_copy(update={"phase": "whisper:video"})
    )
    found = verify_ledger(tmp_path / "odd.db")
    assert found.state is not None
    rows = told_rows([Account.read(tmp_path / "odd.db", found.state)])
    assert [(row.kind, row.sender, row.recipient, row.bits) for row in rows] == [(OTHER, PARTY, PLATFORM, 1)]
    assert bits_received(rows, "training") == {PLATFORM: {OTHER: 1}}


def test_both_sides_of_a_disclosure_are_one_row(tmp_path: Path):
    """The lender's entry and the platform's of one signal; bits of two platforms add up."""
    plan, accounts = enrolled_plan(), []
    for name, peers in ((PARTY, (PLATFORM, "video-2")), (PLATFORM, (PARTY,))):
        new_ledger(tmp_path / f"{name}.db", name).close()
        append_raw(tmp_path / f"{name}.db", approval(plan), party=name)
        for peer in peers:
            event = Disclosure(bits=plan.model.signal_bits, recipient=PARTY, count=1)
            entry = disclose(plan, Kind.SIGNAL, 2, peer=peer, event=event)
            append_raw(tmp_path / f"{name}.db", entry, party=name)
        found = verify_ledger(tmp_path / f"{name}.db")
        assert found.state is not None
        accounts.append(Account.read(found.path, found.state))
    rows = told_rows(accounts)
    assert [(row.sender, row.recipient, row.by) for row in rows] == [
        (PLATFORM, PARTY, (PARTY, PLATFORM)),
        ("video-2", PARTY, (PARTY,)),
    ]
    assert bits_received(rows, "training") == {PARTY: {"signal": 2 * plan.model.signal_bits}}
