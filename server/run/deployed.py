"""What the server app does in a deployment: run a signed plan, end it, or send one or a release to the parties, with
the server's own key and files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sealscore.server.releases.relay import DayRelay, Mailbox
from sealscore.server.run.run import run_coordinator, run_name
from sealscore.server.run.run_files import FAILURE, JOURNAL, PUBLISHED, release_said
from sealscore.server.setup.server_dir import ServerDir
from sealscore.server.transport.exchange import Exchange, Failure, MissingParties, PartyClient, PhaseFailed, wait_for
from sealscore.server.transport.journal import Journal, JournalError
from sealscore.server.transport.sealed import Receipts, SealedExchange
from sealscore.shared.crypto.sealing import SignedMessageError, open_signed, sign_message
from sealscore.shared.files import write_whole
from sealscore.shared.identity.identity import Card
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.ledger.chain import AnchorError
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Propose, ProposeRelease, Ready, Refusal
from sealscore.shared.phases.order import phases
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.serving.parcel import pack, recipients
from sealscore.shared.serving.release import Release

# A node that is restarted by its supervisor is back within a minute.
PATIENCE, TIMEOUT = 120.0, 300.0


def carry_out(server_dir: ServerDir, name: str, exchange: Exchange) -> None:
    """Run a signed plan, or continue its run; what stops it is left in words in `failure.json`.

    Where it cannot be continued that says `final`, and which parties have settled the plan and which were not told.
    """
    plan = server_dir.signed_plans()[name]
    folder = _run_folder(server_dir, plan)
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
            earlier=server_dir.earlier_run(plan),
            calibrated=server_dir.calibrated_run(plan),
        )
    except (PhaseFailed, MissingParties, JournalError, AnchorError, KeyFileError, PlanError, OSError) as error:
        content: dict[str, Any] = {"reason": str(error), "kind": type(error).__name__}
        if isinstance(error, PhaseFailed) and error.final:
            content |= {"final": True, "settled": error.settled, "untold": error.untold}
        _leave(folder / FAILURE, content)
        raise


def end(server_dir: ServerDir, name: str, exchange: Exchange) -> None:
    """End a plan for good: parties that can be told settle it, and its run is not continued. Says so as `carry_out`."""
    plan, identity = server_dir.signed_plans()[name], server_dir.identity()
    folder, run = _run_folder(server_dir, plan), run_name(plan)
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
    plan = server_dir.signed_plans()[name]
    text = plan.canonical()
    parties = [party.name for party in plan.parties]
    said = _proposed(server_dir, exchange, plan, parties, plan.hash, lambda header: Propose(header, text))
    _leave(_run_folder(server_dir, plan) / PUBLISHED, said)


def publish_release(server_dir: ServerDir, name: str, exchange: Exchange) -> None:
    """Send a release to the parties whom it concerns; what each said is left in `release_said(...)`.

    Raises:
        ReleaseError: the folder holds no release, or one that is too large for a message.
        PlanError: its manifest cannot be used.
    """
    folder = server_dir.releases / name
    release = Release.load(folder)
    plan, files = release.plan, pack(folder, release)
    parties = recipients(release)
    said = _proposed(server_dir, exchange, plan, parties, release.hash, lambda header: ProposeRelease(header, files))
    _run_folder(server_dir, plan)
    _leave(release_said(server_dir, release), said)


def relay(server_dir: ServerDir, name: str, exchange: Exchange) -> None:
    """Carry the day's parcels of scoring between the parties of all releases; what became of them is left in
    `server_dir.relay_report`. `name` is not used: a relay is of no plan.

    Raises:
        ReleaseError, PlanError: a release's folder cannot be used.
    """
    releases = [Release.load(folder) for folder in server_dir.made_releases().values()]
    report = DayRelay(exchange, server_dir.identity(), releases, Mailbox(server_dir.relay_waiting)).run()
    server_dir.relay_report.parent.mkdir(mode=0o700, exist_ok=True)
    write_whole(server_dir.relay_report, report.dumps())


def _run_folder(server_dir: ServerDir, plan: Plan) -> Path:
    folder = server_dir.run_folder(plan)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _proposed(
    server_dir: ServerDir,
    exchange: Exchange,
    plan: Plan,
    parties: Iterable[str],
    what: str,
    message: Callable[[Address], Propose | ProposeRelease],
) -> dict[str, str]:
    """What each party of a plan says to something with the hash `what`, which is proposed to it."""
    server, asked = server_dir.identity(), list(parties)
    said: dict[str, str] = {}
    try:
        wait_for(exchange, asked, 10.0, poll=0.5)
    except MissingParties as error:
        said |= dict.fromkeys(error.missing, "not there")
    requests = {
        party: sign_message(message(Address(what, "", "", 0, 0, SERVER, party)), server)
        for party in asked
        if party not in said
    }
    for party, reply in exchange.send(requests, TIMEOUT).items():
        said[party] = _said(reply, plan.cards[party], what)
    return said


def _said(reply: bytes | Failure, card: Card, what: str) -> str:
    if isinstance(reply, Failure):
        return reply.reason
    try:
        found: Ready | Refusal = open_signed(reply, {card.name: card}, Ready, Refusal)
    except SignedMessageError:
        return "malformed"
    if isinstance(found, Refusal):
        return f"refused: {found.code[:40]}"
    # An answer to something else, kept by somebody on the way, is no answer to this.
    return "taken" if found.header.plan == what else "malformed"


def _settled_before(failure: Path) -> list[str]:
    try:
        return [str(party) for party in json.loads(failure.read_text(encoding="utf-8")).get("settled", ())]
    except (OSError, ValueError):
        return []


def _leave(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
