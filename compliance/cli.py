"""`sealscore-compliance`: check ledgers offline, say what they show, and export it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sealscore.shared.files import write_whole
from sealscore.shared.text.terminal import BAD_INPUT, FAILED, Terminal, fail, foreign, run_app, visible

if TYPE_CHECKING:
    from sealscore.compliance.verify.anchoring import Anchor
    from sealscore.compliance.verify.verification import Verification
    from sealscore.shared.identity.identity import Card
    from sealscore.shared.ledger.disclosure_store import DisclosureStore

app = typer.Typer(
    help="Check privacy ledgers offline, without trust in who wrote them, and say what they show. Exit code 0 means "
    "that every check passed; docs/errors.md has the table of the others.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
consent_app = typer.Typer(
    help="What a party's disclosure store says about consents. It names persons, so it stays at the party.",
    no_args_is_help=True,
)
app.add_typer(consent_app, name="consent")
console = Terminal(stderr=True)

Ledgers = Annotated[list[Path], typer.Argument(help="Ledger files, each of one party; they are only read.")]
Anchors = Annotated[
    list[Path] | None,
    typer.Option("--anchors", help="A file of heads and receipts that the server or a peer kept. May be repeated."),
]
Simulation = Annotated[
    bool, typer.Option("--simulation", help="Accept the ledgers of a simulation, whose keys and noise are seeded.")
]
ServerCard = Annotated[
    Path | None,
    typer.Option("--server-card", help="A file with the card by which receipts must be signed; by default the plans'."),
]
Lang = Annotated[str, typer.Option("--lang", help="The language: en, or zh for Chinese.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file; by default to the terminal.")]
Registered = Annotated[Path, typer.Option("--register", help="The party's disclosure store.")]
Day = Annotated[
    str | None, typer.Option("--day", help="The day to judge consents by, as 2027-03-31; by default today.")
]


@app.command()
def verify(
    ledgers: Ledgers,
    anchors: Anchors = None,
    server_card: ServerCard = None,
    simulation: Simulation = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Check ledgers: chain, signatures, order, the approved plans, random sources, budgets, anchors.

    Without anchors that others kept, nobody can see that a party rewrote its own ledger, or cut off its end.
    """
    from sealscore.compliance.figures.joint import joint_claims
    from sealscore.compliance.terminal import show_joint, show_verification
    from sealscore.compliance.verify.checks import checks_of, verdict_of, worst_verdict

    found = _verified(ledgers, anchors, server_card, simulation)
    joint, code = joint_claims(found), _code(found)
    if as_json:
        shown = {
            "exit_code": code,
            "verdict": worst_verdict(found).value,
            "ledgers": [
                one.as_json()
                | {"verdict": verdict_of(one).value, "checks": [check.as_json() for check in checks_of(one)]}
                for one in found
            ],
            "joint": [claim.as_json() for claim in joint],
        }
        print(json.dumps(shown))
    else:
        terminal = Terminal()
        for one in found:
            show_verification(terminal, one, bool(anchors))
        show_joint(terminal, joint)
    raise typer.Exit(code)


@app.command()
def report(
    ledgers: Ledgers,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the report, one HTML file.")],
    run: Annotated[Path | None, typer.Option("--run", help="The folder of the run that the ledgers are of.")] = None,
    anchors: Anchors = None,
    simulation: Simulation = False,
    pia: Annotated[
        Path | None,
        typer.Option(
            "--pia",
            metavar="FACTS.toml",
            help="With a section for an impact assessment: what this file states (legal basis, retention, contact, "
            "places, roles, consent, decisions, complaints) beside what the ledgers say.",
        ),
    ] = None,
    lang: Lang = "en",
) -> None:
    """Write the compliance report of ledgers, one HTML file that needs nothing else, and print where it is.

    It is written whatever the ledgers are like, with the result of the check in it; `verify` gives the exit code.
    """
    from sealscore.compliance.figures.review import LedgerReview
    from sealscore.compliance.impact.facts import load_facts
    from sealscore.compliance.ledger_report.report import write_review

    spoken = _language(lang)
    review = LedgerReview.of(ledgers, run, anchors or [], simulation)
    facts = load_facts(pia, {party.name for plan in review.plans for party in plan.parties}) if pia else None
    try:
        print(visible(str(write_review(review, output, facts, spoken))))
    except OSError as error:
        raise typer.BadParameter(f"the report cannot be written: {error}", param_hint="--output") from error
    _offer_simulation([party.verification for party in review.parties], simulation)


@app.command()
def explain(
    epsilon: Annotated[float, typer.Option(help="The epsilon of a claim.", min=0.0, max=100.0)],
    delta: Annotated[float, typer.Option(help="Its delta; 0 if it has none.", min=0.0, max=0.1)] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")] = False,
    lang: Lang = "en",
) -> None:
    """Say what an epsilon means for one person, in words and as bounds on whoever wonders if they were there."""
    from dataclasses import asdict

    from sealscore.compliance.figures.explain import SOURCES, chances, in_words
    from sealscore.compliance.terminal import show_chances
    from sealscore.shared.text.catalogue import speaking

    if as_json:
        shown = {"epsilon": epsilon, "delta": delta, "chances": [asdict(one) for one in chances(epsilon, delta)]}
        print(json.dumps(shown | {"sources": SOURCES}))
        return
    with speaking(_language(lang)):
        show_chances(Terminal(), in_words(epsilon, delta), chances(epsilon, delta), SOURCES)


@app.command()
def export(
    ledgers: Ledgers,
    registry: Annotated[
        bool, typer.Option("--registry", help="In the form of the Differential Privacy Deployments Registry.")
    ] = False,
    output: Output = None,
    anchors: Anchors = None,
    simulation: Simulation = False,
) -> None:
    """Export what ledgers show as JSON, with the tier that it reaches and the fields that a person must fill in.

    The ledgers are checked as by `verify`, whose exit code it gives; the record says what the check found.
    """
    from sealscore.compliance.figures.registry import registry_record

    if not registry:
        raise typer.BadParameter("the one form there is must be named", param_hint="--registry")
    found = _verified(ledgers, anchors, None, simulation)
    _write(json.dumps(registry_record(found), indent=2) + "\n", output)
    _offer_simulation(found, simulation)
    if code := _code(found):
        console.print("[yellow]a ledger does not verify; the record says so. `verify` says what is wrong")
        raise typer.Exit(code)


@app.command()
def anchors(
    ledger: Annotated[Path, typer.Argument(help="A ledger file whose heads and receipts are exported.")],
    output: Output = None,
) -> None:
    """Export the heads of other parties, and the receipts of its own, that a ledger keeps: one a line.

    With this file the ledgers of those parties can be checked: `verify THEIR_LEDGER --anchors FILE`.
    """
    from sealscore.compliance.verify.anchoring import kept_anchors
    from sealscore.compliance.verify.reading import Unreadable
    from sealscore.shared.ledger.chain import to_line

    lines, damaged = [], 0
    for anchor in kept_anchors(ledger):
        if isinstance(anchor, Unreadable):
            damaged += 1
        else:
            lines.append(to_line(anchor) + "\n")
    _write("".join(lines), output)
    console.print(f"{len(lines)} heads and receipts" + (f"; {damaged} are damaged and left out" if damaged else ""))
    if damaged:
        from sealscore.compliance.verify.verification import Fault

        raise typer.Exit(Fault.ANCHOR.value)


@consent_app.command()
def summary(
    disclosure_store: Annotated[Path, typer.Argument(help="The party's disclosure store.")], day: Day = None
) -> None:
    """Count records by purpose, recipient and the state of their consent: in use, withdrawn, expired."""
    from sealscore.compliance.figures.consents import consent_counts
    from sealscore.compliance.terminal import show_consents

    with _disclosure_store(disclosure_store) as opened:
        show_consents(Terminal(), consent_counts(opened, _day(day)))


@consent_app.command()
def show(
    person: Annotated[str, typer.Argument(help="The person's identifier, as the data has it.")],
    disclosure_store: Registered,
    day: Day = None,
) -> None:
    """Show all that a disclosure store has of one person: consents, what was disclosed of them to whom, what came."""
    from sealscore.compliance.figures.consents import person_view
    from sealscore.compliance.terminal import show_person

    with _disclosure_store(disclosure_store) as opened:
        view = person_view(opened, person, _day(day))
    if view.empty:
        fail(f"{disclosure_store}: knows nobody of that identifier; write it as the data does", FAILED)
    show_person(Terminal(), view)


def main() -> None:
    """Entry point: expected errors become one message and an exit code; docs/errors.md has the table."""
    run_app(app, _expected, "interrupted; nothing was written")


def _expected() -> dict[type[Exception], int]:
    from sealscore.compliance.run_figures.record import NotARun
    from sealscore.compliance.verify.reading import Unreadable
    from sealscore.compliance.verify.verification import Fault
    from sealscore.shared.identity.identity import CardError
    from sealscore.shared.ledger.chain import AnchorError
    from sealscore.shared.ledger.disclosure_store import DisclosureStoreError
    from sealscore.shared.ledger.ledger import LedgerError
    from sealscore.shared.plan.errors import PlanError

    bad = dict.fromkeys((AnchorError, CardError, NotARun, PlanError), BAD_INPUT)
    unreadable = dict.fromkeys((Unreadable, LedgerError, DisclosureStoreError), Fault.UNREADABLE.value)
    return bad | unreadable


def _verified(
    ledgers: Sequence[Path], anchors: Sequence[Path] | None, server_card: Path | None, simulation: bool
) -> list[Verification]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from sealscore.compliance.verify.verify import verify_ledger
    from sealscore.shared.ledger.chain import read_anchors

    given: list[Anchor] = [anchor for file in anchors or () for anchor in read_anchors(file)]
    card = _card(server_card) if server_card else None
    found = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        for ledger in ledgers:
            task = shown.add_task(foreign(ledger.name), total=None)
            found.append(
                verify_ledger(
                    ledger,
                    given,
                    card,
                    simulation,
                    lambda done, total, task=task: shown.update(task, completed=done, total=total),  # type: ignore[misc]
                )
            )
    return found


def _language(lang: str) -> str:
    from sealscore.shared.text.catalogue import LANGUAGES

    if lang not in LANGUAGES:
        raise typer.BadParameter(f"there is {' and '.join(LANGUAGES)}", param_hint="--lang")
    return lang


def _offer_simulation(found: Sequence[Verification], simulation: bool) -> None:
    """Say how a simulation's ledgers are checked, where some are and it was not asked for."""
    if not simulation and any(one.simulation for one in found):
        console.print("[yellow]keys are those of a simulation; if it is one, say --simulation")


def _code(found: Sequence[Verification]) -> int:
    """The exit code of the lowest kind of failure in any ledger, 0 where there is none."""
    return min((one.exit_code for one in found if not one.ok), default=0)


def _card(path: Path) -> Card:
    from sealscore.shared.identity.identity import Card

    try:
        return Card.from_text(path.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: cannot be read ({error})", param_hint="--server-card") from error


def _write(text: str, output: Path | None) -> None:
    """To a file, whole or not at all; to the terminal where none is named."""
    if output is None:
        sys.stdout.write(text)
        return
    try:
        write_whole(output, text)
    except OSError as error:
        raise typer.BadParameter(f"{output}: cannot be written ({error})", param_hint="--output") from error
    console.print(f"written to {foreign(output)}")


@contextmanager
def _disclosure_store(path: Path) -> Iterator[DisclosureStore]:
    """A disclosure store whose chain is intact; a broken one is reported and ends the command."""
    from sealscore.compliance.figures.consents import open_disclosure_store
    from sealscore.compliance.verify.verification import Fault

    disclosure_store = open_disclosure_store(path)
    try:
        broken = disclosure_store.check()
        yield disclosure_store
    finally:
        disclosure_store.close()
    if broken is not None:
        fail(
            f"{path}: what was disclosed in batch {broken} was changed later; restore the disclosure store",
            Fault.CHAIN.value,
        )


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError:
        raise typer.BadParameter("a day is written 2027-03-31", param_hint="--day") from None


if __name__ == "__main__":
    main()
