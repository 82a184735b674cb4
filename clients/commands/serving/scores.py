"""`sealscore-node score`, `replay` and `erase`: a lender scores applications, and each answer can be computed again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sealscore.clients.commands.plan import opened
from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, fail, node_dir_at
from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.register import SCHEMA, Register
from sealscore.clients.decision.replay import replay_decisions
from sealscore.clients.scoring.application import ApplicationError
from sealscore.clients.scoring.log_days import close_days
from sealscore.clients.scoring.replay import Replayed, replayed_part
from sealscore.clients.scoring.replay import replay as replayed
from sealscore.clients.scoring.score_log import ScoreLog, ScoreLogError, lingering
from sealscore.clients.scoring.scorer import NoModel
from sealscore.clients.scoring.service import ScoreService
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.serving_dir import ServingDir, today
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.text.foreign import json_line
from sealscore.shared.text.terminal import errors, foreign

_MOST_BYTES = 64 * 2**20


def score(
    file: Annotated[Path, typer.Argument(help="An application as a JSON object, or several in a JSON list.")],
    folder: Folder = HERE,
) -> None:
    """Score applications: one JSON object a line, with PD, points and reasons. Each answer is in the log before."""
    node_dir = lender_at(folder)
    given = read_json(file)
    batch = given if isinstance(given, list) else [given]
    with score_log(node_dir) as (ledger, log):
        service = score_service(node_dir, ledger, log)
        try:
            answers = service.score_many(batch, f"command of {os.getuid()}", today())
        except ApplicationError as error:
            fail([f"not scored ({error.code})", *error.problems], BAD_INPUT)
        except NoModel as error:
            fail(f"not scored: {error}", FAILED)
    for answer in answers:
        print(json_line(answer))


def replay(
    score_id: Annotated[str | None, typer.Argument(help="One score; by default all of the log.")] = None,
    folder: Folder = HERE,
) -> None:
    """Check the log's chain and compute its answers again; exit code 1 where anything differs."""
    node_dir = lender_at(folder)
    serving = ServingDir(node_dir)
    with score_log(node_dir, behind=True) as (ledger, log):
        state = ledger.state.serving
        wrong = log.check(day.head for day in state.log_days)
        releases = {hash: serving.release(hash) for hash in state.releases if serving.release_folder(hash).is_dir()}
        if score_id is None:
            lines = log.lines(read=replayed_part)
        else:
            line = log.find(score_id)
            if line is None:
                fail(f"{foreign(score_id)}: no such score in the log", BAD_INPUT)
            lines = iter([line])
        found = replayed(lines, releases)
        decided = Replayed()
        if score_id is None:
            decided = replay_decisions(log.lines(), ApprovedPolicies.of(log).policies, log.keys)
    for what in wrong:
        errors.print(f"[red]the log:[/red] {what}")
    for seq in found.differ:
        errors.print(f"[red]line {seq}[/red]: the answer differs from what is computed now")
    for seq in found.unknown:
        errors.print(f"[red]line {seq}[/red]: of a release that is not here any more")
    for seq in decided.differ:
        errors.print(f"[red]line {seq}[/red]: the decision differs from what its policy proposes now")
    for seq in decided.unknown:
        errors.print(f"[red]line {seq}[/red]: of a policy that the log does not have")
    for seq, day in (found.erased | decided.erased).items():
        console.print(f"line {seq}: erased on {day}")
    console.print(f"{found.same} the same, {len(found.differ)} differ, {len(found.erased)} erased")
    if decided.same or decided.erased or not decided.good:
        counts = f"{decided.same} the same, {len(decided.differ)} differ, {len(decided.erased)} erased"
        console.print(f"decisions: {counts}")
    if wrong or not (found.good and decided.good):
        raise typer.Exit(FAILED)


def erase(
    person: Annotated[str, typer.Option(help="The person's identifier; - reads it from standard input.")],
    cause: Annotated[str, typer.Option(help="Why, for the log: a right that was used, or an order.")],
    folder: Folder = HERE,
) -> None:
    """Destroy the key of a person's lines in the log: they cannot be read again, and the chain still verifies."""
    node_dir = lender_at(folder)
    given = sys.stdin.readline().strip() if person == "-" else person
    name = NORMAL_FORMS[node_dir.config().data.form](given)
    with score_log(node_dir) as (_, log):
        log.extend(SCHEMA)
        with log.commit() as batch:
            gone = batch.erase(name, cause)
            Register(batch, log.keys).forget(log.keys.person(name))
        lingers = log.lingers
    if not gone:
        fail("the log has no key of this person: never scored, or erased already", BAD_INPUT)
    console.print("erased: the lines of this person cannot be read any more; the log has a signed line of it")
    if lingers:
        errors.print(f"[yellow]not yet gone from the disk:[/yellow] {lingering(log.path)}")


@contextmanager
def score_log(node_dir: NodeDir, behind: bool = False) -> Iterator[tuple[Ledger, ScoreLog]]:
    """Ledger and log for one command; days that are over get their head into the ledger first.

    A log that is older than the ledger is for looking alone (`behind`).
    """
    with opened(node_dir) as ledger:
        log = ServingDir(node_dir).log(behind)
        try:
            try:
                close_days(ledger, log, today())
            except ScoreLogError:
                if not behind:
                    raise
            yield ledger, log
        finally:
            log.close()


def score_service(node_dir: NodeDir, ledger: Ledger, log: ScoreLog) -> ScoreService:
    serving, manifests = ServingDir(node_dir), [one.manifest for one in ledger.state.serving.live]
    live = {one.hash for one in manifests}
    retraining = {one.hash: one.retraining_code for one in manifests if one.retraining_code}
    pointer = serving.pointer
    if pointer.live is None or pointer.live not in live:
        fail("no release is live: sealscore-node release use NAME, after release approve FOLDER", FAILED)
    shadow = serving.release(pointer.shadow) if pointer.shadow in live and pointer.shadow else None
    keys = serving.serving_keys(node_dir.identity())
    return ScoreService(serving.release(pointer.live), keys, log, live, shadow, retraining)


def lender_at(folder: Path) -> NodeDir:
    node_dir = node_dir_at(folder)
    if node_dir.config().node.role != "lender":
        fail("this is a platform's node; lenders score", BAD_INPUT)
    return node_dir


def read_json(file: Path) -> Any:
    try:
        data = file.read_bytes() if file.stat().st_size <= _MOST_BYTES else None
    except OSError as error:
        fail(f"{file}: cannot be read ({error.strerror})", BAD_INPUT)
    if data is None:
        fail(f"{file}: has more than {_MOST_BYTES} bytes; send fewer applications at once", BAD_INPUT)
    try:
        return json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError):
        fail(f"{file}: is no JSON; give an application, or a list of them", BAD_INPUT)


def _no_number(text: str) -> float:
    raise ValueError(text)
