"""All commands of `sealscore-node`, put together; of one that is typed, no other's modules are imported."""

from __future__ import annotations

from typing import Any

import typer

from sealscore.shared.text.terminal import program

COMMANDS = (
    "init",
    "check",
    "peer",
    "plan",
    "draft",
    "features",
    "applicant",
    "start",
    "reload",
    "status",
    "ledger",
    "budget",
    "release",
    "serving-key",
    "token",
    "batch",
    "platform-api",
    "score",
    "serve",
    "caller",
    "replay",
    "erase",
    "policy",
    "decide",
    "review",
    "notice",
    "dispute",
    "loan",
    "watch",
    "warning",
    "doctor",
)


def together(*words: str) -> typer.Typer:
    """A command line of these commands, in the order given; of all where none is. KeyError for a word that is none."""
    app = typer.Typer(
        help="Run a node of a Sealscore federation: at a lender or a platform, beside its data.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(program)
    for word in words or COMMANDS:
        found = _command(word)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=word)
        else:
            app.command(word)(found)
    return app


def _command(word: str) -> Any:
    """The command, or the group of commands, that is so typed."""
    match word:
        case "init":
            from sealscore.clients.commands import init

            return init.init
        case "check" | "start" | "reload" | "status":
            from sealscore.clients.commands import run

            return getattr(run, word)
        case "peer":
            from sealscore.clients.commands import peer

            return peer.app
        case "plan":
            from sealscore.clients.commands import plan

            return plan.app
        case "draft":
            from sealscore.clients.commands import draft

            return draft.draft
        case "features":
            from sealscore.clients.commands import features

            return features.features
        case "applicant":
            from sealscore.clients.commands import applicant

            return applicant.app
        case "ledger" | "budget":
            from sealscore.clients.commands import ledger

            return {"ledger": ledger.ledger_app, "budget": ledger.budget}[word]
        case "release":
            from sealscore.clients.commands.serving import retraining

            return retraining.release_app
        case "serving-key" | "token" | "batch":
            from sealscore.clients.commands.serving import tokens

            return {"serving-key": tokens.key_app, "token": tokens.tokens_app, "batch": tokens.batch_app}[word]
        case "platform-api":
            from sealscore.clients.commands.serving import platform_api

            return platform_api.platform_api
        case "score" | "replay" | "erase":
            from sealscore.clients.commands.serving import scores

            return getattr(scores, word)
        case "serve":
            from sealscore.clients.commands.serving import serve

            return serve.serve
        case "caller":
            from sealscore.clients.commands.serving import callers

            return callers.app
        case "policy":
            from sealscore.clients.commands.serving import policy

            return policy.app
        case "decide" | "review" | "notice" | "dispute" | "loan":
            from sealscore.clients.commands.serving import decisions

            return {
                "decide": decisions.decide,
                "review": decisions.review_app,
                "notice": decisions.notice,
                "dispute": decisions.dispute,
                "loan": decisions.loan_app,
            }[word]
        case "watch":
            from sealscore.clients.commands.serving import retraining

            return retraining.watch_app
        case "warning":
            from sealscore.clients.commands.serving import warning

            return warning.app
        case "doctor":
            from sealscore.clients.commands import doctor

            return doctor.doctor
    raise KeyError(word)
