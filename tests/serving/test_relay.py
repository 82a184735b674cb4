"""The day's parcels of scoring through the server: they arrive, the server sees constants and can do no harm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from doubles import DirectExchange
from partners import Partners, routers
from vertical_builders import LENDERS, PARTIES

import sealscore.clients.commands.run as node_commands
import sealscore.server.commands.relaying as relaying
import sealscore.server.releases.relay as server_relay
from sealscore.clients.inbox.relay import MOST_LINES
from sealscore.clients.node.supervisor import allowed_bundles
from sealscore.clients.scoring.batches import late_batches
from sealscore.clients.scoring.daily import late_words
from sealscore.clients.setup.serving_dir import today
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.server.run import deployed
from sealscore.server.transport.exchange import wait_for
from sealscore.shared.crypto.sealing import open_signed, sign_message
from sealscore.shared.identity.identity import Identity
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Refusal, Relay, Relayed
from sealscore.shared.plan.plan import SERVER
from sealscore.shared.serving.serving_keys import ServingKeys, month_of

pytestmark = pytest.mark.slow

PLATFORMS = ("video-1", "video-2", "wallet")


@pytest.fixture
def relayed(partners: Partners, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`sealscore-server relay` with the nodes in this process, on a day; `more` is for the exchange."""
    monkeypatch.setattr(server_relay, "wait_for", lambda *given, **often: wait_for(*given[:2], 0.0))

    def relay(day: date | None = None, **more: Any) -> Any:
        with routers(partners.town) as hosts, monkeypatch.context() as patch:
            if day is not None:
                patch.setattr(node_commands, "today", lambda: day)
            exchange = DirectExchange(hosts, **more)

            def carried(server_dir: Any, bundle: Any, action: str, name: str, look: Callable[[], None]) -> Any:
                assert action == "relay"
                deployed.relay(server_dir, name, exchange)
                return SimpleNamespace(completed=True)

            patch.setattr(relaying, "submit", carried)
            said = partners.server("relay")
        said.exchange = exchange
        return said

    return relay


def approved(partners: Partners, *options: object) -> None:
    """A release that all approved, and that lender-1 scores with; no key was passed on by hand."""
    folder = partners.release("first", *options)
    for name in PARTIES:
        partners.good(name, "release", "approve", folder, "--yes", "--unranked")
    partners.good("lender-1", "release", "use", "first")


def withdrawn(partners: Partners, relayed: Callable[..., Any]) -> dict[str, Any]:
    """Keys were relayed, a creator got a token of video-1 and withdrew: the application that carries it."""
    approved(partners)
    relayed()
    person, row = partners.shared_person("video-1")
    assert partners.token("video-1", person).code == 0
    partners.good("video-1", "token", "withdraw", "--lender", "lender-1", "--person", person)
    return partners.town.application(person, row, tokens=partners.tokens("video-1-k1"))


def day_after(days: int) -> date:
    return datetime.now(UTC).date() + timedelta(days=days)


def late(partners: Partners, platform: str, day: date) -> dict[str, list[int]]:
    with closing(partners.town.serving(platform).store()) as store:
        return late_batches(store, day)


def parcels(said: Any, partners: Partners, recipient: str) -> dict[str, bytes]:
    """What the server sent a party in the last round of asking it."""
    card = partners.town.server.identity().card
    sent = [sends[recipient] for sends in said.exchange.log if recipient in sends]
    found: Relay = open_signed(sent[-1], {SERVER: card}, Relay)
    return found.parcels


def test_keys_batches_and_receipts_go_through_the_server(partners: Partners, relayed: Callable[..., Any]):
    approved(partners)
    person, row = partners.shared_person("video-1", "wallet")
    assert partners.token("video-1", person).code == 1
    assert "serving key" in partners.token("video-1", person).text
    assert relayed().code == 0
    assert partners.token("video-1", person).code == 0
    assert partners.token("wallet", person).code == 0
    application = partners.town.application(person, row, tokens=partners.tokens("video-1-k1", "wallet-k1"))
    assert [one["status"] for one in partners.scored(application)["signals"]] == ["used", "used"]
    partners.good("video-1", "token", "withdraw", "--lender", "lender-1", "--person", person)
    said = relayed(day_after(1))
    assert said.code == 0, said.text
    later = partners.scored(application | {"product": "other"})
    assert [one["status"] for one in later["signals"]] == ["withdrawn", "used"]
    assert {name: late(partners, name, day_after(30)) for name in PLATFORMS} == {name: {} for name in PLATFORMS}
    assert "2 the same, 0 differ" in partners.good("lender-1", "replay").text
    for name in PARTIES:
        assert not verify_ledger(partners.town.node(name).ledger_file).findings
    assert "lender-1" in partners.server("relay", "--last").text


def test_what_the_server_sees_is_constant(partners: Partners, relayed: Callable[..., Any]):
    approved(partners, "--batch-places", 8)
    quiet = relayed()
    person, _ = partners.shared_person("video-1")
    assert partners.token("video-1", person).code == 0
    partners.good("video-1", "token", "withdraw", "--lender", "lender-1", "--person", person)
    busy = relayed(day_after(1))
    before, after = (
        {sender: len(parcel) for sender, parcel in parcels(said, partners, "lender-1").items()}
        for said in (quiet, busy)
    )
    assert before == after
    assert set(before) == set(PLATFORMS)


def test_a_party_that_is_away_for_a_week_gets_all_of_it(partners: Partners, relayed: Callable[..., Any]):
    application = withdrawn(partners, relayed)
    for days in range(1, 7):
        said = relayed(day_after(days), away={"lender-1"})
        assert said.code == 1
        assert "lender-1 did not take part" in said.text
        assert "waits since" in said.text
    assert late(partners, "video-1", day_after(6))["lender-1"] == [2, 3, 4]
    assert partners.scored(application)["signals"][0]["status"] == "used"
    # Where the month has changed in between, its key went out ahead or goes out now.
    assert relayed(day_after(7)).code == 0
    assert partners.scored(application | {"product": "other"})["signals"][0]["status"] == "withdrawn"
    assert late(partners, "video-1", day_after(30)) == {}


def test_a_platform_that_is_away_keeps_nobody_waiting(partners: Partners, relayed: Callable[..., Any]):
    approved(partners)
    said = relayed(away={"wallet"})
    assert said.code == 1
    person, _ = partners.shared_person("video-1")
    assert partners.token("video-1", person).code == 0
    assert partners.server("relay", "--last").code == 1
    assert relayed(day_after(1)).code == 0


def test_a_server_that_drops_alters_swaps_or_repeats_does_no_harm(partners: Partners, relayed: Callable[..., Any]):
    approved(partners)
    relayed()
    person, row = partners.shared_person("video-1")
    assert partners.token("video-1", person).code == 0
    application = partners.town.application(person, row, tokens=partners.tokens("video-1-k1"))
    old = parcels(relayed(day_after(1)), partners, "lender-1")
    partners.good("video-1", "token", "withdraw", "--lender", "lender-1", "--person", person)
    fresh = parcels(relayed(day_after(2), spoil=without_receipts("lender-1")), partners, "lender-1")
    assert late(partners, "video-1", day_after(5))["lender-1"] == [3]
    status = partners.scored(application)["signals"][0]["status"]
    assert status == "withdrawn"

    with routers(partners.town) as hosts:
        server = partners.town.server.identity()

        def told(party: str, given: dict[str, bytes], identity: Identity = server) -> Relayed | Refusal:
            header = Address("", "ab", "", 0, 0, SERVER, party)
            answer = hosts[party].answer(sign_message(Relay(header, given), identity))
            card = partners.town.node(party).identity().card
            return open_signed(answer, {party: card}, Relayed, Refusal)

        def receipts(platform: str, given: dict[str, bytes]) -> int:
            found = told("lender-1", given)
            assert isinstance(found, Relayed)
            return found.parcels[platform].count(b"sealscore-receipt-1.")

        # An older one again restores nothing; one of another, an altered one and no lines at all give no receipt.
        assert receipts("video-1", {"video-1": old["video-1"]}) == 1
        assert receipts("video-1", {"video-1": fresh["video-1"][:-9] + b"AAAAAAAA\n"}) == 0
        assert receipts("wallet", {"stranger": fresh["video-1"]}) == 0
        assert receipts("video-1", {"video-1": b"\xff\n" * MOST_LINES}) == 0
        assert receipts("video-1", {"video-1": fresh["video-1"] + b"\n" * (MOST_LINES + 1)}) == 0
        assert receipts("video-1", {"video-1": b""}) == 0
        # Only the server that the operator trusts is answered.
        refused = told("lender-1", {}, Identity.generate(SERVER, "server"))
        assert isinstance(refused, Refusal)
        assert refused.code == "seal"
        # A receipt of another lender, or cut, is none.
        key = told("lender-2", {"video-1": fresh["video-1"]})
        assert isinstance(key, Relayed)
        for line in (*key.parcels["video-1"].splitlines(), b"sealscore-receipt-1.AAAA", b"nonsense"):
            assert isinstance(told("video-1", {"lender-1": line}), Relayed)
        assert late(partners, "video-1", day_after(5))["lender-1"] == [3]
    assert partners.scored(application | {"product": "other"})["signals"][0]["status"] == "withdrawn"
    assert relayed(day_after(3)).code == 0
    assert late(partners, "video-1", day_after(30)) == {}


def without_receipts(lender: str) -> Callable[[str, bytes, bytes], bytes]:
    """A server on whose way every second answer of a lender is lost, the one that has the receipts."""
    count = iter(range(100))

    def spoil(party: str, request: bytes, answer: bytes) -> bytes:
        return answer[:-1] if party == lender and next(count) % 2 else answer

    return spoil


def test_an_answer_to_an_earlier_relay_is_no_answer(partners: Partners, relayed: Callable[..., Any]):
    approved(partners)
    old: dict[str, bytes] = {}

    def keep(party: str, request: bytes, answer: bytes) -> bytes:
        return old.setdefault(party, answer)

    said = relayed(spoil=keep)
    assert said.code == 1
    assert "malformed" in said.text
    assert all(name in said.text for name in (*LENDERS, *PLATFORMS))


def test_an_older_key_does_not_take_the_place_of_the_one_that_is_kept(
    partners: Partners, relayed: Callable[..., Any], caplog: pytest.LogCaptureFixture
):
    approved(partners)
    relayed()
    month = month_of(today())
    file = partners.town.node("video-1").folder / "serving-keys" / f"lender-1-{month}.txt"
    kept = file.read_text("ascii")
    other = ServingKeys.of(partners.town.node("lender-1").identity(), month, b"x" * 96)
    with routers(partners.town) as hosts, caplog.at_level("INFO", logger="sealscore.node"):
        header = Address("", "ab", "", 0, 0, SERVER, "video-1")
        line = other.certificate.encode("ascii")
        hosts["video-1"].answer(sign_message(Relay(header, {"lender-1": line}), partners.town.server.identity()))
    assert file.read_text("ascii") == kept
    assert "another serving key" in caplog.text


def test_a_node_whose_plans_have_ended_is_reached_as_long_as_tokens_are_used(partners: Partners):
    ledger = partners.town.ledger("wallet")
    with closing(ledger):
        assert ledger.state.live == []
        assert allowed_bundles(ledger) == {}
        approved(partners)
        bundles = {partners.town.plan.bundle: partners.town.plan.name}
        assert allowed_bundles(ledger) == bundles
        # Who was told of under it withdraws also when it was ended, until its last token has ended.
        partners.good("wallet", "release", "withdraw", "first")
        manifest = partners.town.release().manifest
        last = manifest.expires + timedelta(days=manifest.token_days)
        assert allowed_bundles(ledger, last) == bundles
        assert allowed_bundles(ledger, last + timedelta(days=1)) == {}


def test_withdrawals_that_no_batch_takes_are_an_alarm(partners: Partners, relayed: Callable[..., Any]):
    """Where nobody relays, or the lender has no key, no batch is made that could miss its receipt."""
    withdrawn(partners, relayed)
    assert late(partners, "video-1", day_after(2)) == {}
    assert late(partners, "video-1", day_after(3)) == {"lender-1": []}
    assert "in no batch" in late_words("lender-1", [])
    assert relayed(day_after(3)).code == 0
    assert late(partners, "video-1", day_after(30)) == {}


def test_a_batch_is_under_a_release_that_the_lender_has(partners: Partners, relayed: Callable[..., Any]):
    application = withdrawn(partners, relayed)
    # The platform has approved a second one, which the lender looks at later.
    partners.good("video-1", "release", "approve", partners.release("second"), "--yes", "--unranked")
    assert relayed(day_after(1)).code == 0
    assert partners.scored(application)["signals"][0]["status"] == "withdrawn"
    assert late(partners, "video-1", day_after(30)) == {}


def test_without_a_release_there_is_nothing_to_carry(partners: Partners):
    said = partners.server("relay")
    assert (said.code, "no release" in said.text) == (2, True)
    partners.release()
    assert partners.server("relay", "--last").code == 2
