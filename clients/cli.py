"""`sealscore-node`: what a partner's operator types."""

from __future__ import annotations

import os

import typer

# Flower reports its use to its makers unless told not to; it reads this when it is imported.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

from sealscore.clients.commands import doctor, draft, features, init, ledger, peer, plan, run
from sealscore.clients.commands.serving import decisions, policy, release, scores, tokens
from sealscore.clients.commands.terminal import EXPECTED
from sealscore.shared.text.terminal import run_app

app = typer.Typer(
    help="Run a node of a Sealscore federation: at a lender or a platform, beside its data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(init.init)
app.command()(run.check)
app.add_typer(peer.app, name="peer")
app.add_typer(plan.app, name="plan")
app.command()(draft.draft)
app.command()(features.features)
app.command()(run.start)
app.command()(run.reload)
app.command()(run.status)
app.command()(ledger.ledger)
app.command()(ledger.budget)
app.add_typer(release.app, name="release")
app.add_typer(tokens.key_app, name="serving-key")
app.add_typer(tokens.tokens_app, name="token")
app.add_typer(tokens.batch_app, name="batch")
app.command()(scores.score)
app.command()(scores.replay)
app.command()(scores.erase)
app.add_typer(policy.app, name="policy")
app.command()(decisions.decide)
app.add_typer(decisions.review_app, name="review")
app.command()(decisions.notice)
app.command()(decisions.dispute)
app.add_typer(decisions.loan_app, name="loan")
app.command()(doctor.doctor)


def main() -> None:
    """Run the command line: exit codes are 1 (failed), 2 (bad input) and 130 (interrupted)."""
    run_app(app, EXPECTED, "interrupted; nothing is left half done")


if __name__ == "__main__":
    main()
