"""What `sealscore-compliance` shows on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Column, Table

from sealscore.compliance.figures.consents import STATES, ConsentCount, PersonView
from sealscore.compliance.figures.explain import Chance
from sealscore.compliance.figures.joint import JointClaim
from sealscore.compliance.verify.checks import CheckOutcome, LedgerVerdict, checks_of, grouped_findings, verdict_of
from sealscore.compliance.verify.reading import EXPORT
from sealscore.compliance.verify.verification import Fault, Verification
from sealscore.shared.text.catalogue import tr
from sealscore.shared.text.foreign import GROUP
from sealscore.shared.text.numbers import fixed, known, percent, plural, short
from sealscore.shared.text.terminal import Terminal, foreign, grouped

_WORDS = 1000
_COLOURS = {LedgerVerdict.VERIFIED: "green", LedgerVerdict.UNANCHORED: "yellow", LedgerVerdict.FAILED: "red"}
_TITLES = {
    LedgerVerdict.VERIFIED: "verified",
    LedgerVerdict.UNANCHORED: "verified without outside anchors",
    LedgerVerdict.FAILED: "not verified",
}
_WHY = {CheckOutcome.NOTHING: "nothing to check", CheckOutcome.SKIPPED: "let pass as a simulation's"}


def show_verification(terminal: Terminal, found: Verification, anchored: bool) -> None:
    """The result of one check: verdict, findings, warnings, figures."""
    verdict = verdict_of(found)
    shown = f"[{_COLOURS[verdict]}]{_TITLES[verdict]}" + ("" if found.ok else f" (exit code {found.exit_code})")
    _line(terminal, f"[bold]{foreign(found.party)}[/bold], {foreign(found.path)}: {shown}")
    if found.card is not None:
        _line(terminal, f"  {plural(found.entries, 'entry', 'entries')} of the data set '{foreign(found.data_set)}'")
        _line(
            terminal, f"  signed by {found.card.fingerprint}: compare this with what the party says its fingerprint is"
        )
    if found.simulation:
        _line(terminal, "  [yellow]a simulation's ledger: its keys and noise follow from a seed and protect nobody")
    _line(terminal, f"  {_anchors(found, anchored)}")
    if found.without_log and not found.anchored.given and not found.simulation:
        name = foreign(f"{found.path.name}-wal")
        _line(terminal, f"  if its node ran when it was copied, its last entries were in {name}: {EXPORT}")
    if found.findings:
        table = Table("exit code", "kind", "finding", "entries", "findings", "what", box=box.SIMPLE)
        for one in grouped_findings(found):
            fault, what = one.fault, foreign(one.what, _WORDS)
            table.add_row(str(fault.value), fault.title, one.code, one.entries, str(one.count), what)
        terminal.print(table)
        if found.dropped:
            _line(terminal, f"  and {plural(found.dropped, 'finding')} more of these kinds")
        if _seeded(found):
            said = "keys are those of a simulation; if it is one, check it with --simulation"
            _line(terminal, f"  [yellow]{said}")
    unchecked = [check for check in checks_of(found) if check.outcome in (CheckOutcome.NOTHING, CheckOutcome.SKIPPED)]
    if unchecked and found.entries:
        names = ", ".join(f"{check.fault.title} ({_WHY[check.outcome]})" for check in unchecked)
        _line(terminal, f"  not checked: {names}")
    for warning in found.warnings:
        _line(terminal, f"  [yellow]{foreign(warning, _WORDS)}")
    if found.claims:
        _claims(terminal, found)
    _line(terminal, "")


def _seeded(found: Verification) -> bool:
    """Whether a simulated party's ledger was checked as that of a real one."""
    return found.simulation and any(one.fault is Fault.SOURCE for one in found.findings)


def _anchors(found: Verification, given: bool) -> str:
    if found.anchored.given:
        return (
            f"agrees with {plural(found.anchored.given, 'anchor')} of others up to entry {found.anchored.up_to}; what "
            "comes after it could have been cut off"
        )
    if given:
        return "[yellow]no anchor that was given agrees with it, so it could be an old copy or rewritten"
    return "[yellow]no anchors were given (--anchors), so it could be an old copy, or rewritten by its own party"


def _claims(terminal: Terminal, found: Verification) -> None:
    table = Table(box=box.SIMPLE)
    for name, side in (
        ("epsilon spent, if", "left"),
        ("at most the plan's collude", "right"),
        ("all others collude", "right"),
        ("allowed", "right"),
        ("delta", "right"),
    ):
        table.add_column(name, justify="right" if side == "right" else "left")
    for claim in found.claims:
        title = f"{claim.title} {grouped(claim.name)}" if claim.scope == "plan" else claim.title
        allowed = "no ceiling" if claim.ceiling is None else short(claim.ceiling)
        style = None if claim.within else "red"
        figures = (_figure(claim.epsilon), _figure(claim.epsilon_alone), allowed, short(claim.delta))
        table.add_row(foreign(title), *figures, style=style)
    terminal.print(table)
    if found.uncounted:
        left_out = plural(found.uncounted, "entry", "entries")
        _line(
            terminal, f"  [red]these figures leave out {left_out} that cannot be followed: more may have been released"
        )
    told = [f"label epsilon {short(found.label_epsilon)}"] if found.label_epsilon else []
    told += [f"up to {plural(found.signal_bits, 'bit')} of a person's signal"] if found.signal_bits else []
    if told:
        _line(terminal, f"  beside it, sealed to peers: {', '.join(told)}")
    _scoring(terminal, found)


def _scoring(terminal: Terminal, found: Verification) -> None:
    """What was told after training, which training's figures do not have."""
    if not found.scoring:
        return
    table = Table("for scoring, counted apart from training", box=box.SIMPLE)
    table.add_column("most bits of a person")
    table.add_column("days charged", justify="right")
    everybody = {} if len(found.scoring_by_lender) < 2 else {"all lenders together": found.scoring}
    for lender, told in {**found.scoring_by_lender, **everybody}.items():
        bits = ", ".join(f"{kind} {count}" for kind, count in told.bits.items())
        table.add_row(foreign(lender), foreign(bits), f"{told.days:,}")
    terminal.print(table)


def show_joint(terminal: Terminal, claims: Sequence[JointClaim]) -> None:
    """What the ledgers say together, where there is more than one party."""
    several = [claim for claim in claims if len(claim.parties) > 1]
    if not several:
        return
    table = Table("a person at all these parties", box=box.SIMPLE)
    for name in ("epsilon", "against platforms", "delta"):
        table.add_column(name, justify="right")
    table.add_column("ledgers missing")
    for claim in several:
        platforms = "-" if claim.against_platforms is None else _figure(claim.against_platforms)
        missing = ", ".join(claim.missing) or "none"
        title = f"the plan {claim.plan.name} {grouped(claim.plan.hash)}"
        table.add_row(foreign(title), _figure(claim.epsilon), platforms, short(claim.delta), foreign(missing))
    terminal.print(table)


def show_chances(terminal: Terminal, words: Sequence[str], chances: Sequence[Chance], sources: Sequence[str]) -> None:
    """What an epsilon means."""
    for paragraph in words:
        _line(terminal, paragraph, wrap=True)
        _line(terminal, "")
    table = Table(box=box.SIMPLE)
    for name in (
        tr("believed before"),
        tr("at most after"),
        tr("at least after"),
        tr("guessed right without results"),
        tr("at most with them"),
        tr("accused rightly at most*"),
    ):
        table.add_column(name, justify="right")
    for one in chances:
        beliefs = (one.rate, one.most, one.least, one.blind, one.right, one.precise)
        table.add_row(*(percent(value, 1) for value in beliefs))
    terminal.print(table)
    _line(terminal, tr("* of an attacker who accuses 1 of 1,000 persons that were not there"), wrap=True)
    for source in sources:
        _line(terminal, tr("Source: {source}", source=source), wrap=True)


def show_consents(terminal: Terminal, counts: Sequence[ConsentCount]) -> None:
    """Records by the state of their consents."""
    table = Table("purpose", "recipient", box=box.SIMPLE)
    for state in STATES:
        table.add_column("in use" if state == "live" else state.replace("-", " "), justify="right")
    for one in counts:
        table.add_row(foreign(one.purpose), foreign(one.recipient), *(f"{one.states[state]:,}" for state in STATES))
    terminal.print(table if counts else "the disclosure store has no consents")


def show_person(terminal: Terminal, view: PersonView) -> None:
    """Everything about one person."""
    table = Table("record", "consent", "state", title="consents", box=box.SIMPLE)
    for record, consent, state in view.consents:
        table.add_row(foreign(record), foreign(consent.text), "in use" if state == "live" else state)
    terminal.print(table)
    plan = Column("plan", min_width=GROUP)
    table = Table(
        "at", "kind", "to", "value", "bits", "meaning", plan, title="disclosed of this person", box=box.SIMPLE
    )
    for told in view.told:
        row = (told.at, told.kind, told.recipient, str(told.value), str(told.bits), told.what, grouped(told.plan))
        table.add_row(*(foreign(cell) for cell in row))
    terminal.print(table)
    table = Table("from", "kind", "value", plan, title="received from others, and kept", box=box.SIMPLE)
    for hash, peer, kind, value in view.received:
        table.add_row(foreign(peer), foreign(kind), str(value), foreign(grouped(hash)))
    terminal.print(table)
    _line(terminal, "What was disclosed stays charged, whatever happens to a consent afterwards.")


def _figure(value: float) -> str:
    return fixed(value) if known(value) else "not bounded"


def _line(terminal: Terminal, text: str, wrap: bool = False) -> None:
    terminal.print(text, highlight=False, soft_wrap=not wrap)
