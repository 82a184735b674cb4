"""What the server app does in a deployment: run a signed plan, publish it, end it, under the server's own key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sealscore.server.run.run import run_coordinator, run_name
from sealscore.server.setup.server_dir import ServerDir
from sealscore.server.transport.exchange import Exchange, Failure, MissingParties, wait_for
from sealscore.server.transport.journal import Journal, JournalError
from sealscore.server.transport.party_client import PartyClient, PhaseFailed
from sealscore.server.transport.receipts import Receipts
from sealscore.server.transport.sealed import SealedExchange
from sealscore.shared.crypto.signed_messages import SignedMessageError, open_signed, sign_message
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.ledger.anchors import AnchorError
from sealscore.shared.messages.address import Address
from sealscore.shared.messages.messages import Propose, Ready, Refusal
from sealscore.shared.phases.order import phases
from sealscore.shared.plan.plan import SERVER

FAILURE, PUBLISHED, JOURNAL = "failure.json", "published.json", "journal.db"
# A node that is restarted by its supervisor is back within a minute.
PATIENCE, TIMEOUT = 120.0, 300.0


def carry_out(server_dir: ServerDir, name: str, exchange: Exchange) -> None:
    """Run a signed plan, or continue its run; what stops it is left in words in `failure.json`.

    Where it cannot be continued that says `final`, and which parties have settled the plan and which were not told.
    """
    plan = server_dir.signed_plans()[name]
    folder = server_dir.run_folder(plan)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / FAILURE).unlink(missing_ok=True)
    try:
        run_coordinator(
            plan.canonical(),
            exchange,
            folder,
            patience=PATIENCE,
            timeout=TIMEOUT,
            absence=PATIENCE,
            identity=server_dir.identity(),
            receipts=server_dir.receipts,
            journal=folder / JOURNAL,
        )
    except (PhaseFailed, MissingParties, JournalError, AnchorError, KeyFileError, OSError) as error:
        content: dict[str, Any] = {"reason": str(error), "kind": type(error).__name__}
        if isinstance(error, PhaseFailed) and error.final:
            content |= {"final": True, "settled": error.settled, "untold": error.untold}
        _leave(folder / FAILURE, content)
        raise


def end(server_dir: ServerDir, name: str, exchange: Exchange) -> None:
    """End a plan for good: parties that can be told settle it, and its run is not continued. Says so as `carry_out`."""
    plan, identity = server_dir.signed_plans()[name], server_dir.identity()
    folder, run = server_dir.run_folder(plan), run_name(plan)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = [party.name for party in plan.parties]
    with suppress(MissingParties):
        wait_for(exchange, names, 10.0, poll=0.5)
    with closing(Journal(plan.hash, run, folder / JOURNAL)) as journal:
        receipts = Receipts(identity, server_dir.receipts)
        with closing(SealedExchange(exchange, plan, run, identity, receipts, journal)) as messenger:
            settled = PartyClient(plan, run, messenger, TIMEOUT).finish(phases(plan)[-1])
    # Who has settled it before answers nothing any more.
    settled = [party for party in names if party in {*settled, *_settled_before(folder / FAILURE)}]
    untold = [party for party in names if party not in settled]
    reason = "ended by the server's operator"
    _leave(folder / FAILURE, {"reason": reason, "final": True, "settled": settled, "untold": untold})


def publish(server_dir: ServerDir, name: str, exchange: Exchange) -> None:
    """Propose a signed plan to its parties; what each said is left in `published.json`."""
    plan, server = server_dir.signed_plans()[name], server_dir.identity()
    folder = server_dir.run_folder(plan)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    said: dict[str, str] = {}
    try:
        wait_for(exchange, [party.name for party in plan.parties], 10.0, poll=0.5)
    except MissingParties as error:
        said |= dict.fromkeys(error.missing, "not there")
    text = plan.canonical()
    asked = {
        party.name: sign_message(Propose(Address(plan.hash, "", "", 0, 0, SERVER, party.name), text), server)
        for party in plan.parties
        if party.name not in said
    }
    for party, reply in exchange.send(asked, TIMEOUT).items():
        said[party] = _said(reply, party, plan.cards[party])
    _leave(folder / PUBLISHED, said)


def _said(reply: bytes | Failure, party: str, card: object) -> str:
    if isinstance(reply, Failure):
        return reply.reason
    try:
        found: Ready | Refusal = open_signed(reply, {party: card}, Ready, Refusal)  # type: ignore[dict-item]
    except SignedMessageError:
        return "malformed"
    return "taken" if isinstance(found, Ready) else f"refused: {found.code[:40]}"


def _settled_before(failure: Path) -> list[str]:
    try:
        return [str(party) for party in json.loads(failure.read_text(encoding="utf-8")).get("settled", ())]
    except (OSError, ValueError):
        return []


def _leave(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
