"""`sealscore-node decide`, `review`, `notice`, `dispute` and `loan`: what a lender does after a score."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sealscore.clients.commands.serving.scores import lender_at, read_json, score_log, score_service
from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, fail
from sealscore.clients.decision.loans import LoanBook, read_loans
from sealscore.clients.decision.notice import Notices
from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.reviews import PersonsWord, ReviewDesk, aged
from sealscore.clients.decision.service import DecisionService
from sealscore.clients.scoring.application import ApplicationError
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.scorer import NoModel
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.serving_dir import today
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.text.foreign import json_line
from sealscore.shared.text.numbers import percent, plural

review_app = typer.Typer(help="Decisions that wait for a person.", no_args_is_help=True)
loan_app = typer.Typer(help="Loans that are open: they count against a person's exposure.", no_args_is_help=True)
Decision = Annotated[str, typer.Argument(help="A decision's id, as decide printed it.")]
LoanId = Annotated[str, typer.Argument(help="The loan's id in this lender's own system.")]
Principal = Annotated[int, typer.Option(help="What is owed, in whole units of the policy's currency.")]


def decide(
    file: Annotated[Path, typer.Argument(help="An application as a JSON object, or several in a JSON list.")],
    folder: Folder = HERE,
) -> None:
    """Score applications and decide them: one JSON object a line. Each is in the log before it is printed."""
    given = read_json(file)
    with _deciding(lender_at(folder)) as (_, service):
        answers = service.decide_many(given if isinstance(given, list) else [given], _caller(), today())
    for answer in answers:
        print(json_line(answer))


@review_app.command("list")
def list_reviews(folder: Folder = HERE) -> None:
    """List what waits for a person, the most urgent first, one JSON object a line; then overrides and reversals."""
    with score_log(lender_at(folder), behind=True) as (_, log):
        rows, counts = ReviewDesk(log, ApprovedPolicies.of(log)).waiting()
    for row in rows:
        print(json_line(aged(row, today())))
    taken = counts["taken"]
    of = "".join(
        f"; {counts[name]} {name} ({percent(counts[name] / taken, 1)})" for name in ("overrides", "reversals") if taken
    )
    console.print(f"{plural(len(rows), 'decision')} waiting; {taken} taken{of}", highlight=False)


@review_app.command()
def take(
    decision: Decision,
    outcome: Annotated[str, typer.Option(help="approve or decline.")],
    reviewer: Annotated[str, typer.Option(help="Who decides: the name or staff number of a person.")],
    reason: Annotated[str, typer.Option(help="Why, for the log.")],
    amount: Annotated[int | None, typer.Option(help="What is approved; by default what was asked for.")] = None,
    folder: Folder = HERE,
) -> None:
    """Decide what waits, as a person, with a reason. An approval keeps to the limits."""
    if outcome not in ("approve", "decline"):
        raise typer.BadParameter("approve or decline", param_hint="--outcome")
    word = PersonsWord(reviewer, "approve" if outcome == "approve" else "decline", reason, amount)
    with score_log(lender_at(folder)) as (_, log):
        made = ReviewDesk(log, ApprovedPolicies.of(log)).take(decision, word, _caller(), today())
    print(json_line(made))


def notice(
    decision: Decision,
    lang: Annotated[str, typer.Option(help="zh or en.")] = "zh",
    folder: Folder = HERE,
) -> None:
    """Print the notice of a decision: its specific reasons, how to object, until when. The first starts the clock."""
    if lang not in ("zh", "en"):
        raise typer.BadParameter("zh or en", param_hint="--lang")
    with score_log(lender_at(folder)) as (_, log):
        notices = Notices(log, ApprovedPolicies.of(log))
        print(notices.give(decision, "zh" if lang == "zh" else "en", _caller(), today()))


def dispute(
    decision: Decision,
    why: Annotated[str, typer.Option(help="What the applicant objects to, for the log.")],
    application: Annotated[
        Path | None, typer.Option(help="The application with what was corrected: scored as a new version.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """An applicant objects: a person looks at it, and what was corrected is scored as a new version."""
    node_dir = lender_at(folder)
    corrected = None if application is None else read_json(application)
    if corrected is None:
        with score_log(node_dir) as (_, log):
            desk = ReviewDesk(log, ApprovedPolicies.of(log))
            print(json_line(desk.dispute(decision, why, _caller(), today())))
        return
    with _deciding(node_dir) as (log, service):
        desk = ReviewDesk(log, ApprovedPolicies.of(log))
        for answer in service.dispute(desk, decision, why, corrected, _caller(), today()):
            print(json_line(answer))


@loan_app.command("open")
def open_loan(
    loan: LoanId,
    principal: Principal,
    decision: Annotated[str | None, typer.Option(help="The approval by which it starts.")] = None,
    person: Annotated[
        str | None, typer.Option(help="Of a loan that came of no decision here: the person; - reads standard input.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """A loan starts. By --decision it takes the place of what was reserved."""
    if (decision is None) == (person is None):
        fail("give --decision, or --person for a loan that came of no decision here", BAD_INPUT)
    node_dir = lender_at(folder)
    with score_log(node_dir) as (_, log):
        book = _book(node_dir, log)
        if decision is not None:
            book.start(loan, decision, principal, today())
        else:
            given = sys.stdin.readline().strip() if person == "-" else str(person)
            book.open(loan, given, principal, today())
    console.print("opened")


@loan_app.command("close")
def close_loan(loan: LoanId, folder: Folder = HERE) -> None:
    """A loan is paid back or written off."""
    node_dir = lender_at(folder)
    with score_log(node_dir) as (_, log):
        _book(node_dir, log).close(loan, today())
    console.print("closed")


@loan_app.command("read")
def read_table(
    file: Annotated[Path, typer.Argument(help="A table of all open loans: loan, person, principal.")],
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The day for which it was made; by default that of the file."),
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Take open loans from a table: those in it are open, and no others but what started on its day or after it."""
    node_dir = lender_at(folder)
    rows = read_loans(file)
    day = as_of.date() if as_of else min(datetime.fromtimestamp(file.stat().st_mtime, UTC).date(), today())
    with score_log(node_dir) as (_, log):
        counts = _book(node_dir, log).read(rows, today(), day)
    console.print(f"{counts['new']} new, {counts['changed']} changed, {counts['over']} over", highlight=False)


@contextmanager
def _deciding(node_dir: NodeDir) -> Iterator[tuple[ScoreLog, DecisionService]]:
    """The log, and what decides under its live policy; says what cannot be decided."""
    with score_log(node_dir) as (ledger, log):
        policies = ApprovedPolicies.of(log)
        service = DecisionService(score_service(node_dir, ledger, log), log, policies, node_dir.config().data.form)
        try:
            yield log, service
        except ApplicationError as error:
            fail([f"not decided ({error.code})", *error.problems], BAD_INPUT)
        except NoModel as error:
            fail(f"not decided: {error}", FAILED)


def _book(node_dir: NodeDir, log: ScoreLog) -> LoanBook:
    return LoanBook(log, NORMAL_FORMS[node_dir.config().data.form])


def _caller() -> str:
    return f"command of {os.getuid()}"
