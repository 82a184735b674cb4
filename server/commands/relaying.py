"""`sealscore-server relay`: carry the day's parcels of scoring between the parties, by hand or by a timer."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from sealscore.server.commands.running import check_completed, submit
from sealscore.server.commands.terminal import HERE, Folder, console, server_dir_at
from sealscore.server.releases.relay import Mailbox
from sealscore.server.setup.server_dir import ServerDir
from sealscore.shared import bundle as bundles
from sealscore.shared.text.terminal import BAD_INPUT, fail, foreign


def relay(
    last: Annotated[bool, typer.Option("--last", help="Carry nothing; show what the last relay did.")] = False,
    folder: Folder = HERE,
) -> None:
    """Carry withdrawals, receipts and serving keys between the parties of all releases; exit code 0 only if all parties
    took part and nothing waits.

    Once a day is enough: what is not taken is kept, and sent again. All of it is sealed or signed by its sender.
    """
    server_dir = server_dir_at(folder)
    if not server_dir.made_releases():
        fail("there is no release yet, so nothing to carry; sealscore-server release new PLAN makes one", BAD_INPUT)
    if not last:
        server_dir.relay_report.unlink(missing_ok=True)
        ended = submit(server_dir, bundles.courier_bundle(), "relay", "", lambda: None)
        check_completed(ended, "nothing was carried")
    if not server_dir.relay_report.exists():
        fail("no relay has ended yet; sealscore-server relay", BAD_INPUT)
    report = json.loads(server_dir.relay_report.read_text("utf-8"))
    waiting = _show(server_dir, report)
    if away := [party for party, said in report["said"].items() if said != "taken"]:
        fail(f"{', '.join(away)} did not take part: see that the node runs; the next relay carries what waits")
    if waiting:
        fail("not everything was taken; the next relay carries what waits")


def _show(server_dir: ServerDir, report: dict[str, Any]) -> int:
    """Show what became of each party and parcel; gives how many wait."""
    parties = Table("party", "it said")
    for party, said in report["said"].items():
        parties.add_row(foreign(party), foreign(said))
    parcels = Table("from", "to", "bytes", "state")
    for sender, recipient, size in report["taken"]:
        parcels.add_row(foreign(sender), foreign(recipient), str(size), "taken")
    waiting = Mailbox(server_dir.relay_waiting).waiting()
    for one in waiting:
        parcels.add_row(foreign(one.sender), foreign(one.recipient), str(one.bytes), f"waits since {one.since}")
    console.print(parties)
    console.print(parcels if parcels.row_count else "no parcel was carried")
    return len(waiting)
