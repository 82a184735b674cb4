"""All commands of `sealscore-node`, put together."""

from __future__ import annotations

import typer

from sealscore.clients.commands import applicant, doctor, draft, features, init, ledger, peer, plan, run
from sealscore.clients.commands.serving import (
    callers,
    decisions,
    platform_api,
    policy,
    release,
    retraining,
    scores,
    serve,
    tokens,
    warning,
    watch,
)

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
app.add_typer(applicant.app, name="applicant")
app.command()(run.start)
app.command()(run.reload)
app.command()(run.status)
app.command()(ledger.ledger)
app.command()(ledger.budget)
release.app.command()(retraining.compare)
app.add_typer(release.app, name="release")
app.add_typer(tokens.key_app, name="serving-key")
app.add_typer(tokens.tokens_app, name="token")
app.add_typer(tokens.batch_app, name="batch")
app.command()(platform_api.platform_api)
app.command()(scores.score)
app.command()(serve.serve)
app.add_typer(callers.app, name="caller")
app.command()(scores.replay)
app.command()(scores.erase)
app.add_typer(policy.app, name="policy")
app.command()(decisions.decide)
app.add_typer(decisions.review_app, name="review")
app.command()(decisions.notice)
app.command()(decisions.dispute)
app.add_typer(decisions.loan_app, name="loan")
watch.app.command()(retraining.propose)
app.add_typer(watch.app, name="watch")
app.add_typer(warning.app, name="warning")
app.command()(doctor.doctor)
