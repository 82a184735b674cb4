"""`sealscore-server`: what the server's operator types."""

from __future__ import annotations

import os

import typer

# Flower reports its use to its makers by default; it reads this when it is imported.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

from sealscore.server.commands import bundle, plans, relaying, releases, running, setup
from sealscore.server.commands.terminal import EXPECTED
from sealscore.shared.text.terminal import run_app

app = typer.Typer(
    help="Run the server of a Sealscore federation: it coordinates, and sees sums only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(setup.init)
app.command()(setup.start)
app.command()(setup.enrol)
app.command()(setup.nodes)
app.command()(setup.renew)
app.add_typer(plans.app, name="plan")
app.add_typer(releases.app, name="release")
app.command()(relaying.relay)
app.command()(bundle.bundle)
app.command()(running.run)
app.command()(running.runs)
app.add_typer(running.receipts_app, name="receipts")


def main() -> None:
    """Run the command line: exit codes are 1 (failed), 2 (bad input) and 130 (interrupted)."""
    run_app(app, lambda: EXPECTED, "interrupted; continue a stopped run with sealscore-server run NAME --resume")


if __name__ == "__main__":
    main()
