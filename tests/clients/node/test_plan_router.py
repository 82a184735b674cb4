"""The long-lived node: it answers under approved plans only, and stops when the operator says so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from builders import CALIBRATE, LENDERS, TRAIN, small_records
from doubles import DirectExchange
from homes import Town, node_loader, running, table_of

from sealscore.clients.data import DataError
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.roles.errors import Refused
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.server.run.run import run_coordinator
from sealscore.shared.crypto.sealing import (
    KeysDestroyed,
    PlanKeys,
    claimed_address,
    is_signed,
    open_signed,
    peer_key,
    seal_message,
    sign_message,
    unseal_message,
)
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.disclosure_store import DisclosureStoreError
from sealscore.shared.ledger.entries import Limit, Revoke
from sealscore.shared.ledger.ledger import LedgerError
from sealscore.shared.messages.codec import Address, encode_body
from sealscore.shared.messages.messages import (
    Answered,
    Asked,
    Hello,
    Introduce,
    Join,
    Joined,
    Offered,
    Propose,
    ProposeRelease,
    Ready,
    Refusal,
    Relay,
    Relayed,
)
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.text.foreign import grouped

RUN = "run-1"


class Caller:
    """A server that talks to one host, under its own key of a plan."""

    def __init__(self, town: Town, host: PlanRouter, plan: Plan | None = None, run: str = RUN) -> None:
        self.town, self.host, self.plan, self.run = town, host, plan or town.plan, run
        self.server = town.server.identity()
        self.keys = PlanKeys.generate(self.server, self.plan.hash)
        self.node: Any = None

    def header(self, attempt: int = 1) -> Address:
        return Address(self.plan.hash, self.run, "", 0, attempt, SERVER, self.host.name)

    def join(self, epoch: int = 1) -> Joined | Refusal:
        message = Join(self.header(epoch), self.keys.certificate, int(time.time()), ())
        answer = self.host.answer(sign_message(message, self.server))
        found = open_signed(answer, {self.host.name: self.card}, Joined, Refusal)
        if isinstance(found, Joined):
            self.node = peer_key(found.certificate, self.card, self.plan.hash)
        return found

    def introduce(self) -> Any:
        return self.send(Introduce(self.header(), {}, ()))

    def hello(self) -> Any:
        header = self.header(0)
        return self.send(Asked(header, "Hello", encode_body(Hello(header)), (), b"", {}))

    def send(self, message: Introduce | Asked) -> Any:
        answer = self.host.answer(seal_message(message, self.server, self.node))
        cards = {self.host.name: self.card}
        try:
            return open_signed(answer, cards, Refusal)
        except ValueError:
            return unseal_message(answer, self.keys, cards, Offered, Answered, Refusal)

    def propose(self, plan: Plan, server: Identity | None = None) -> str:
        """What a host says to a plan: "ready", or the code of its refusal."""
        header = Address(plan.hash, "", "", 0, 0, SERVER, self.host.name)
        answer = self.host.answer(sign_message(Propose(header, plan.canonical()), server or self.server))
        found = open_signed(answer, {self.host.name: self.card}, Ready, Refusal)
        return "ready" if isinstance(found, Ready) else found.code

    @property
    def card(self) -> Any:
        return self.town[self.host.name].identity().card


def code(found: Any) -> str:
    assert isinstance(found, Refusal), found
    return found.code


class TestApproval:
    def test_nothing_is_answered_before_it(self, town: Town):
        told: list[str] = []
        with running(town["lender-1"], tell=told.append) as host:
            caller = Caller(town, host)
            assert code(caller.join()) == "not-approved"
            assert told == [f"lender-1 answers nothing under plan {grouped(town.plan.hash)}: not-approved"]
            # while it runs, the operator approves from another process
            with_ledger(town, lambda ledger: approve(ledger, town.plan))
            assert isinstance(caller.join(), Joined)
            assert isinstance(caller.introduce(), Offered)
            assert isinstance(caller.hello(), Answered)

    def test_another_plans_request_is_refused(self, town: Town):
        other = town.signed(name="other", seed=8)
        with running(town["lender-1"], town.plan) as host:
            caller = Caller(town, host)
            assert isinstance(caller.join(), Joined)
            assert code(Caller(town, host, other).join()) == "not-approved"
            assert isinstance(caller.introduce(), Offered)

    def test_two_approved_plans_have_a_door_each(self, town: Town):
        first, other = town.signed(privacy__epsilon=2.0), town.signed(name="other", privacy__epsilon=1.0)
        with running(town["lender-1"], first) as host:
            with_ledger(town, lambda ledger: approve(ledger, other))
            callers = [Caller(town, host, first), Caller(town, host, other, run="run-2")]
            for caller in callers:
                assert isinstance(caller.join(), Joined)
            for caller in callers:
                assert isinstance(caller.introduce(), Offered)
            # the keys of one plan do not open the other's messages
            callers[0].node = callers[1].node
            assert code(callers[0].hello()) == "seal"

    @pytest.mark.parametrize("block", [1, 50])
    def test_one_that_is_revoked_ends_at_the_next_request(self, town: Town, block: int, tmp_path: Path):
        plan = town.signed(privacy__reserve_block=block)
        node, told = town["lender-1"], []
        rest = [running(town[name], plan) for name in LENDERS[1:]]
        with running(node, plan, tell=told.append) as host, rest[0] as second, rest[1] as third:
            revoked: list[int] = []

            def spoil(party: str, request: bytes, answer: bytes) -> bytes:
                """The operator revokes the plan when the first lender has answered the second round of training."""
                info = None if is_signed(request) else claimed_address(request)
                if info is not None and (party, info.phase, info.round) == ("lender-1", TRAIN, 2):
                    entry = Revoke(plan=plan.hash, why="the operator")
                    with_ledger(town, lambda ledger: revoked.append(ledger.append(lambda state: entry)))
                return answer

            exchange = DirectExchange({each.name: each for each in (host, second, third)}, spoil)
            server = town.server.identity()
            run_coordinator(plan.canonical(), exchange, tmp_path / "out", patience=0.0, identity=server)
            state = host._ledger.state.plans[plan.hash]
            # what was reserved stays charged, and nothing was added after the operator's word
            assert [host._ledger.head.seq] == revoked
            assert state.state == "revoked"
            assert state.spent[TRAIN] == (2 if block == 1 else 4)
            assert state.spent[CALIBRATE] == 0
            assert any("not-approved" in line for line in told)
            assert code(Caller(town, host, plan).join()) == "not-approved"

    def test_a_forgotten_card_ends_it_and_trust_begins_it_again(self, town: Town):
        node, told = town["lender-1"], []
        with running(node, town.plan, tell=told.append) as host:
            caller = Caller(town, host)
            assert isinstance(caller.join(), Joined)
            card = town["lender-2"].identity().card
            node.trust().forget("lender-2")
            assert code(caller.introduce()) == "not-approved"
            assert "no card of 'lender-2' is trusted" in told[-1]
            node.trust().trust(card, card.fingerprint)
            assert isinstance(Caller(town, host).join(2), Joined)

    def test_a_damaged_file_of_cards_stops_it(self, town: Town):
        node, told = town["lender-1"], []
        with running(node, town.plan, tell=told.append) as host:
            caller = Caller(town, host)
            caller.join()
            (node.folder / "trust.json").write_text("{")
            assert code(caller.introduce()) == "unavailable"
            assert "is damaged" in told[-1]

    def test_a_plan_of_another_card_is_not_answered(self, town: Town):
        told: list[str] = []
        with running(town["lender-1"], trust=TrustStore(), tell=told.append) as host:
            with_ledger(town, lambda ledger: approve(ledger, town.plan))
            assert code_of_bytes(town, host, b"nonsense") == "seal"
            # without a trusted server nobody can even begin
            assert code(Caller(town, host).join()) == "seal"

    def test_a_stranger_who_signs_as_the_server_is_refused(self, town: Town):
        with running(town["lender-1"], town.plan) as host:
            caller = Caller(town, host)
            caller.server = Identity.generate(SERVER, "server")
            assert code(caller.join()) == "seal"


class TestData:
    def test_a_fault_is_told_to_the_operator_and_the_plan_answered_without_records(self, town: Town):
        node, told = town["lender-1"], []
        table = table_of(small_records(seed=1))
        broken = table.with_columns(income=table["income"].replace(table["income"][0], "plenty"))
        broken.write_csv(node.folder / "loans.csv")
        with running(node, town.plan, tell=told.append) as host:
            assert isinstance(Caller(town, host).join(), Joined)
            assert host.without_data == ("small",)
            assert "loans.csv, column 'income', line 2: text where a number is needed" in told[0]
            assert "plenty" not in told[0]
            assert len(host._nodes[town.plan.hash].role.records) == 0
            with pytest.raises(DataError):
                host.reload()
            assert host.without_data == ("small",)
            table.write_csv(node.folder / "loans.csv")
            assert host.reload() == {town.plan.hash: 400}
            assert host.without_data == ()

    def test_persons_told_of_before_are_not_taken_for_withdrawn_where_there_are_no_records(self, town: Town):
        """The table cannot be read after a restart: nobody is told to delete anything."""
        node = town["lender-1"]
        with running(node, town.plan) as host:
            host._disclosure_store.keep_pair(town.plan.hash, "lender-2", {b"h" * 16: "1-0"}, 512)
            (node.folder / "loans.csv").unlink()
            assert isinstance(Caller(town, host).join(), Joined)
            assert host._disclosure_store.notices("lender-2") == []

    def test_is_read_once_a_plan_and_anew_on_request(self, town: Town):
        node = town["lender-1"]
        loads: list[str] = []

        def load(plan: Plan) -> Any:
            loads.append(plan.name)
            return node_loader(node)(plan)

        with running(node, town.plan, load=load) as host:
            caller = Caller(town, host)
            caller.join()
            caller.introduce()
            caller.hello()
            assert loads == ["small"]
            table_of(small_records(300, seed=1)).write_csv(node.folder / "loans.csv")
            assert host.reload() == {town.plan.hash: 300}
            assert loads == ["small", "small"]
            (node.folder / "loans.csv").write_text("id,bad\n")
            with pytest.raises(ValueError, match="missing"):
                host.reload()
            assert len(records_in(host)) == 300

    def test_whose_consent_was_withdrawn_is_used_no_more(self, town: Town):
        """A record without a live consent to sums adds nothing to them, from the reload on."""
        node = town["lender-1"]
        plan = town.signed(groups__lender__table__consent="consents")
        ids = table_of(small_records(seed=1))["id"].to_list()
        write_consents(node.folder / "consents.csv", ids, withdrawn=set())
        with_consent_table(node)
        with running(node, plan) as host:
            assert isinstance(Caller(town, host, plan).join(), Joined)
            assert live(host) == len(ids)
            write_consents(node.folder / "consents.csv", ids, withdrawn=set(ids[:40]))
            assert host.reload() == {plan.hash: len(ids)}
            assert live(host) == len(ids) - 40
            # a table that cannot be read leaves the node with what it had
            (node.folder / "consents.csv").write_text("who,to\n")
            with pytest.raises(ValueError, match="missing"):
                host.reload()
            assert live(host) == len(ids) - 40


class TestReloadOfDataAtFault:
    """One bad cell must not keep somebody in sums who has withdrawn, nor another plan from its fresh records."""

    def test_a_withdrawal_counts_beside_the_fault_of_another_record(self, town: Town):
        node, told = town["lender-1"], []
        table = table_of(small_records(seed=1))
        gone, odd = table["id"][0], table["id"][5]
        with running(node, town.plan, tell=told.append) as host:
            assert isinstance(Caller(town, host).join(), Joined)
            assert summed(host) == set(table["id"])
            changed(table, {gone: {"consent": "federation withdrawn 2024-01-01"}, odd: {"income": "plenty"}}, node)
            with pytest.raises(DataError):
                host.reload()
            assert summed(host) == set(table["id"]) - {gone}
            assert [given.withdrawn for _, _, given in host._disclosure_store.consents(gone)] == [date(2024, 1, 1)]
            assert "399 of the 400 records" in told[-1]
            assert "column 'income', line 7: text where a number is needed" in told[-1]
            assert not any(word in text for text in told for word in ("plenty", gone, odd))

    def test_nor_does_it_keep_another_plan_from_its_records(self, town: Town):
        """The second plan has narrower bounds, and a new income does not fit into them."""
        node, told = town["lender-1"], []
        table = table_of(small_records(seed=1))
        table = table.with_columns(income=table["income"].cast(float).clip(0, 300).cast(str))
        table.write_csv(node.folder / "loans.csv")
        schema = town.plan.groups["lender"].table.model_dump(mode="json")
        schema["features"][0]["upper"] = 300
        plans = [
            town.signed(privacy__epsilon=0.5),
            town.signed(name="narrow", seed=9, privacy__epsilon=0.5, groups__lender__table=schema),
        ]
        with running(node, plans[0], tell=told.append) as host:
            approve(host._ledger, plans[1])
            for plan in plans:
                assert isinstance(Caller(town, host, plan).join(), Joined)
            gone, odd = table["id"][0], table["id"][5]
            changed(table, {gone: {"consent": "federation withdrawn 2024-01-01"}, odd: {"income": "301"}}, node)
            with pytest.raises(DataError, match="outside its bounds"):
                host.reload()
            for plan in plans:
                assert summed(host, plan) == set(table["id"]) - {gone}
            row = table["id"].to_list().index(odd)
            assert host._nodes[plans[0].hash].role.records.columns["income"][row] == 301
            assert host._nodes[plans[1].hash].role.records.columns["income"][row] != 301
            assert len(host._disclosure_store.consents()) == 400
            assert f"400 records under plan {grouped(plans[0].hash)}" in told[-1]

    @pytest.mark.parametrize(
        "fault",
        [
            {"bad": "maybe"},
            {"age": "900"},
            {"sector": "mining"},
            {"consent": "federation maybe"},
            {"id": ""},
        ],
        ids=lambda fault: next(iter(fault)),
    )
    def test_whatever_is_wrong_with_another_record(self, town: Town, fault: dict[str, str]):
        node, table = town["lender-1"], table_of(small_records(seed=1))
        gone, absent, odd = table["id"][0], table["id"][1], table["id"][5]
        with running(node, town.plan, tell=lambda text: None) as host:
            Caller(town, host).join()
            left = table.filter(table["id"] != absent)
            changed(left, {gone: {"consent": ""}, odd: fault}, node)
            with pytest.raises(DataError):
                host.reload()
            unknown = {odd} if fault.keys() & {"consent", "id"} else set()
            assert summed(host) == set(table["id"]) - {gone, absent} - unknown
            table.write_csv(node.folder / "loans.csv")
            assert host.reload() == {town.plan.hash: 400}
            assert summed(host) == set(table["id"])

    def test_a_table_of_consents_with_a_row_that_is_none(self, town: Town):
        node, table = town["lender-1"], table_of(small_records(seed=1))
        ids = table["id"].to_list()
        with_consent_table(node)
        write_consents(node.folder / "consents.csv", ids, withdrawn=set())
        with running(node, town.plan, tell=lambda text: None) as host:
            Caller(town, host).join()
            write_consents(node.folder / "consents.csv", ids, withdrawn=set(ids[:40]))
            path = node.folder / "consents.csv"
            path.write_text(path.read_text().replace(f"{ids[50]},federation,", f"{ids[50]},federation,soon"))
            with pytest.raises(DataError):
                host.reload()
            assert summed(host) == set(ids) - set(ids[:40]) - {ids[50]}

    def test_consents_that_cannot_be_read_and_a_person_who_is_gone(self, town: Town):
        """Nobody withdraws because a table of consents is broken, and who is not in the data is used no more."""
        node, told, table = town["lender-1"], [], table_of(small_records(seed=1))
        ids = table["id"].to_list()
        with_consent_table(node)
        write_consents(node.folder / "consents.csv", ids, withdrawn=set(ids[:40]))
        with running(node, town.plan, tell=told.append) as host:
            Caller(town, host).join()
            (node.folder / "consents.csv").write_text("who,to\n")
            table.filter(table["id"] != ids[60]).write_csv(node.folder / "loans.csv")
            with pytest.raises(DataError):
                host.reload()
            assert summed(host) == set(ids[40:]) - {ids[60]}
            assert "WITHDRAWALS ARE NOT SEEN" in told[-1]

    @pytest.mark.parametrize("content", [None, "", "id,bad\n", '"id', "nothing,of,that\n1,2,3\n"])
    def test_a_table_that_cannot_be_read_at_all_is_no_withdrawal_of_everybody(self, town: Town, content: str | None):
        node, told, table = town["lender-1"], [], table_of(small_records(seed=1))
        with running(node, town.plan, tell=told.append) as host:
            Caller(town, host).join()
            (node.folder / "loans.csv").unlink()
            if content is not None:
                (node.folder / "loans.csv").write_text(content)
            with pytest.raises(DataError):
                host.reload()
            assert summed(host) == set(table["id"])
            assert "DOES NOT SEE WITHDRAWALS" in told[-1]

    def test_a_full_disk_under_one_plan_leaves_no_other_with_old_records(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ):
        node, table = town["lender-1"], table_of(small_records(seed=1))
        plans = [town.signed(privacy__epsilon=0.5), town.signed(name="other", seed=9, privacy__epsilon=0.5)]
        with running(node, plans[0]) as host:
            approve(host._ledger, plans[1])
            for plan in plans:
                Caller(town, host, plan).join()

            def full(rows: Any) -> None:
                raise DisclosureStoreError("register.db: cannot be written (database or disk is full)")

            monkeypatch.setattr(host._disclosure_store, "note_consents", full)
            changed(table, {table["id"][0]: {"consent": ""}}, node)
            with pytest.raises(DisclosureStoreError):
                host.reload()
            for plan in plans:
                assert summed(host, plan) == set(table["id"][1:])


def test_an_open_node_tells_no_more_bits_than_the_ledger_allows_by_then(town: Town):
    with running(town["lender-1"], town.plan) as host:
        Caller(town, host).join()
        lifetime = host._nodes[town.plan.hash].role._lifetime
        ceilings = host._ledger.state.ceilings
        assert lifetime.signal_bits == ceilings.signal_bits == 4
        now = ceilings.model_copy(update={"signal_bits": 1})
        host._ledger.append(lambda state: Limit(ceilings=now, why="asked"))
        assert lifetime.signal_bits == 1


class TestProposals:
    def test_are_kept_for_the_operator_and_answered_under_by_nobody(self, town: Town):
        kept: list[Plan] = []
        with running(town["lender-1"], propose=lambda plan: kept.append(plan) is None) as host:
            caller = Caller(town, host)
            assert caller.propose(town.plan) == "ready"
            assert kept == [town.plan]
            assert code(caller.join()) == "not-approved"

    def test_only_of_the_trusted_server(self, town: Town):
        with running(town["lender-1"], propose=refusing) as host:
            stranger = Identity.generate(SERVER, "server")
            assert Caller(town, host).propose(town.plan, stranger) == "seal"

    def test_only_such_as_name_this_party(self, town: Town):
        data = town.plan.model_dump(mode="json")
        data["parties"] = [party for party in data["parties"] if party["name"] != "lender-1"]
        with running(town["lender-1"], propose=refusing) as host:
            assert Caller(town, host).propose(Plan.parse(data)) == "other-plan"

    def test_no_more_than_the_operator_can_look_at(
        self, town: Town, node: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ):
        import sealscore.clients.node.plan_router
        from sealscore.clients.commands.run import _router

        assert sealscore.clients.node.plan_router.MAX_PROPOSED == 100
        monkeypatch.setattr(sealscore.clients.node.plan_router, "MAX_PROPOSED", most := 4)
        home = town["lender-1"]
        plans = [town.signed(name=f"plan-{number}") for number in range(most + 1)]
        ledger, disclosure_store = town.ledger("lender-1"), home.disclosure_store()
        logging.getLogger("sealscore").setLevel(logging.ERROR)
        host = _router(home, home.config(), ledger, disclosure_store)
        caller = Caller(town, host)
        assert {caller.propose(plan) for plan in plans[:-1]} == {"ready"}
        assert caller.propose(plans[0]) == "ready"
        assert caller.propose(plans[-1]) == "too-many-plans"
        assert len(home.kept_plans()) == most
        # one that was refused makes room
        assert node("plan", "refuse", "plan-0", "--home", home.folder).code == 0
        assert caller.propose(plans[-1]) == "ready"
        disclosure_store.close()
        ledger.close()


class TestReleases:
    """What `sealscore-node start` does with one is in tests/serving/test_publishing.py."""

    def said(self, town: Town, host: PlanRouter, recipient: str = "lender-1") -> tuple[str, str]:
        """The answer to a release ("ready", or the code of a refusal), and the hash that it is about."""
        message = ProposeRelease(Address("ab" * 32, "", "", 0, 0, SERVER, recipient), {"release.toml": b"x"})
        answer = host.answer(sign_message(message, town.server.identity()))
        found = open_signed(answer, {host.name: town[host.name].identity().card}, Ready, Refusal)
        return ("ready" if isinstance(found, Ready) else found.code), found.header.plan

    def test_are_handed_on_and_the_answer_names_them(self, town: Town):
        got: list[ProposeRelease] = []
        with running(town["lender-1"], propose_release=got.append) as host:
            assert self.said(town, host) == ("ready", "ab" * 32)
            assert [message.files for message in got] == [{"release.toml": b"x"}]
            assert self.said(town, host, "lender-2")[0] == "other-plan"
            assert len(got) == 1

    def test_are_refused_by_the_code_that_is_given(self, town: Town):
        def refuse(message: ProposeRelease) -> None:
            raise Refused("bad-release")

        with running(town["lender-1"], propose_release=refuse) as host:
            assert self.said(town, host) == ("bad-release", "ab" * 32)
        with running(town["lender-1"]) as host:
            assert self.said(town, host) == ("too-many-releases", "ab" * 32)

    @pytest.mark.parametrize("fault", [OSError(28, "full"), LedgerError("locked"), ValueError("person p00001")])
    def test_what_fails_in_a_relay_reaches_the_server_as_a_code(self, town: Town, fault: Exception):
        def failing(parcels: Any) -> Any:
            raise fault

        def said(host: PlanRouter) -> Relayed | Refusal:
            message = Relay(Address("", "ab", "", 0, 0, SERVER, "lender-1"), {"video-1": b"x"})
            answer = host.answer(sign_message(message, town.server.identity()))
            found: Relayed | Refusal = open_signed(
                answer, {host.name: town[host.name].identity().card}, Relayed, Refusal
            )
            assert found.header == message.header.reply()
            return found

        told: list[str] = []
        with running(town["lender-1"], tell=told.append, relay=failing) as host:
            refused = said(host)
        assert isinstance(refused, Refusal)
        assert refused.code == "unavailable"
        assert len(told) == 1
        assert "p00001" not in told[0]
        with running(town["lender-1"]) as host:
            assert said(host) == Relayed(Address("", "ab", "", 0, 0, "lender-1", SERVER), {})

    @pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), LedgerError("locked")])
    def test_what_cannot_be_kept_is_told_to_the_operator(self, town: Town, fault: Exception):
        def failing(what: Any) -> Any:
            raise fault

        told: list[str] = []
        with running(town["lender-1"], tell=told.append, propose=failing, propose_release=failing) as host:
            assert self.said(town, host)[0] == "unavailable"
            assert Caller(town, host).propose(town.plan) == "unavailable"
            assert [str(fault) in words for words in told] == [True, True]


@pytest.mark.parametrize("request_", [b"", b"\0" * 40, b"sealscore signed message 1", b"x" * 5000])
def test_what_is_no_message_is_refused_by_a_signed_code(town: Town, request_: bytes):
    with running(town["lender-1"], town.plan) as host:
        assert code_of_bytes(town, host, request_) == "seal"


def refusing(plan: Plan) -> bool:
    raise AssertionError(f"plan {plan.name} was kept")


def test_a_full_disk_at_the_end_destroys_every_key_all_the_same(town: Town, monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []
    plans = [town.signed(privacy__epsilon=2.0), town.signed(name="other", privacy__epsilon=1.0)]
    with running(town["lender-1"], plans[0], tell=told.append) as host:
        with_ledger(town, lambda ledger: approve(ledger, plans[1]))
        for number, plan in enumerate(plans):
            assert isinstance(Caller(town, host, plan, run=f"run-{number}").join(), Joined)
        doors = list(host._doors.values())

        def full() -> None:
            raise LedgerError("ledger.db: cannot be written or read (database or disk is full)")

        for door in doors:
            monkeypatch.setattr(door._node.plan_ledger, "close", full)
        host.close()
        assert len(doors) == 2
        for door in doors:
            with pytest.raises(KeysDestroyed):
                door._keys.open(b"", b"")
    assert len(told) == 2
    assert all("cannot note what is left of a block" in text for text in told)


def with_ledger(town: Town, work: Callable[[Any], Any], name: str = "lender-1") -> None:
    """Work on a node's ledger as another process would."""
    ledger = town.ledger(name)
    try:
        work(ledger)
    finally:
        ledger.close()


def code_of_bytes(town: Town, host: PlanRouter, request: bytes) -> str:
    card = town[host.name].identity().card
    return code(open_signed(host.answer(request), {host.name: card}, Refusal))


def write_consents(path: Path, ids: list[str], withdrawn: set[str]) -> None:
    rows = [f"{one},federation,{'2020-01-01' if one in withdrawn else ''}" for one in ids]
    path.write_text("\n".join(["who,to,until", *rows]) + "\n", encoding="utf-8")


def with_consent_table(node: NodeDir) -> None:
    """From now on consents are in a table of their own."""
    text = node.config_file.read_text(encoding="utf-8")
    section = '[data.consents]\nfile = "consents.csv"\nperson = "who"\nrecipient = "to"\nwithdrawn = "until"\n'
    node.config_file.write_text(text.replace("# What may be spent", section + "# What may be spent"))


def changed(table: pl.DataFrame, cells: Mapping[str, Mapping[str, str]], node: NodeDir) -> None:
    """Write the table with other cells, by id and column."""
    rows = [row | dict(cells.get(row["id"], {})) for row in table.to_dicts()]
    pl.DataFrame(rows, schema=table.schema).write_csv(node.folder / "loans.csv")


def summed(host: PlanRouter, plan: Plan | None = None) -> set[str]:
    """Persons in the sums of a plan, of the only one where none is given."""
    node = host._nodes[plan.hash] if plan else next(iter(host._nodes.values()))
    return {person for test in (False, True) for person in node.role._part(test).person}


def records_in(host: PlanRouter) -> Any:
    (node,) = host._nodes.values()
    return node.role._records


def live(host: PlanRouter) -> int:
    (node,) = host._nodes.values()
    return int(np.sum(records_in(host).live("federation", node.plan.purpose_code)))
