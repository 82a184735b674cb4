"""`sealscore-node token`, `batch` and `serving-key`: what platforms and lenders pass each other, by file."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from sealscore.clients.commands.plan import opened
from sealscore.clients.commands.serving.release import ReleaseArgument, approved_release
from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, fail, node_dir_at, reason
from sealscore.clients.inbox.relay import LenderRelay, PlatformRelay
from sealscore.clients.platform_api.factors import LevelFactors
from sealscore.clients.scoring.batches import late_batches
from sealscore.clients.scoring.daily import late_words
from sealscore.clients.scoring.tokens import CAUSES, ConsentRequest, Correction, NoToken, TokenMaker, charge_days
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.plan_data import loaded
from sealscore.clients.setup.serving_dir import ServingDir, today
from sealscore.shared.files import write_whole
from sealscore.shared.identity.identity import Card
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.serving.manifest import KINDS, Kind
from sealscore.shared.serving.serving_keys import month_of
from sealscore.shared.serving.watch import WATCH
from sealscore.shared.text.terminal import foreign

_OWNER = 0o600
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]
Lender = Annotated[str, typer.Option(help="The lender's name.")]
Person = Annotated[str, typer.Option(help="The creator's identifier; - reads it from standard input.")]


tokens_app = typer.Typer(help="At a platform: tokens of creators who agreed to be scored.", no_args_is_help=True)
batch_app = typer.Typer(help="The day's batch of withdrawals between a platform and a lender.", no_args_is_help=True)
key_app = typer.Typer(help="The key of a month, to which platforms seal tokens for a lender.", no_args_is_help=True)


Text = Annotated[Path, typer.Option(help="The file of the text that the creator was shown and agreed to.")]
Key = Annotated[str, typer.Option(help="Idempotency key: the same consent asked again gets the same token.")]
Language = Annotated[str, typer.Option(help="The language of the text, as zh or en.")]
Kinds = Annotated[list[str] | None, typer.Option(help=f"What the consent names beside signal: {', '.join(KINDS[1:])}.")]
Retraining = Annotated[bool, typer.Option("--retraining", help="The consent names retraining, too.")]


@tokens_app.command("new")
def token(
    release: ReleaseArgument,
    lender: Lender,
    person: Person,
    text: Text,
    key: Key,
    output: Output,
    language: Language = "zh",
    kind: Kinds = None,
    retraining: Retraining = False,
    folder: Folder = HERE,
) -> None:
    """At a platform: make the token of a creator who agreed, for one lender, and charge what it tells."""
    node_dir = of_role(folder, "platform")
    asked = ConsentRequest(lender, typed(person), digest_of(text), language, key, _kinds(kind), retraining)
    _give(output, _made(node_dir, release, asked), lender)


@tokens_app.command()
def correct(
    release: ReleaseArgument,
    lender: Lender,
    person: Person,
    text: Text,
    key: Key,
    cause: Annotated[str, typer.Option(help="; ".join(f"{code}: {words}" for code, words in CAUSES.items()) + ".")],
    why: Annotated[str, typer.Option(help="What was wrong, for the ledger; nothing of the person.")],
    output: Output,
    language: Language = "zh",
    kind: Kinds = None,
    retraining: Retraining = False,
    folder: Folder = HERE,
) -> None:
    """At a platform: what was told of a creator this month was of wrong data; tell it once more, beyond the ceilings.

    Put the data right first. Tokens that told the wrong values are in the next batches as withdrawn.
    """
    node_dir = of_role(folder, "platform")
    asked = ConsentRequest(lender, typed(person), digest_of(text), language, key, _kinds(kind), retraining)
    _give(output, _made(node_dir, release, asked, Correction(cause, reason(why))), lender)


def _kinds(given: list[str] | None) -> frozenset[Kind]:
    if WATCH in (given or ()):
        what = f"{WATCH}: no token tells it, and what was told of it is not corrected; warning begin, warning end"
        raise typer.BadParameter(what, param_hint="--kind")
    if unknown := set(given or ()) - set(KINDS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: one of {', '.join(KINDS)}", param_hint="--kind")
    return frozenset({"signal", *(kind for kind in KINDS if kind in (given or ()))})


def digest_of(text: Path) -> str:
    """The SHA-256 of a file; ends with an error where it cannot be read."""
    try:
        return hashlib.sha256(text.read_bytes()).hexdigest()
    except OSError as error:
        fail(f"{text}: cannot be read ({error.strerror})", BAD_INPUT)


def _made(node_dir: NodeDir, release: str, asked: ConsentRequest, correction: Correction | None = None) -> bytes:
    """The token for a consent; ends with an error where there is none."""
    serving, config = ServingDir(node_dir), node_dir.config()
    hash, _ = approved_release(node_dir, release)
    found = serving.release(hash)
    cards = {name: found.plan.cards[name] for name in found.manifest.lenders}
    day = today()
    with opened(node_dir) as ledger:
        store = serving.store()
        try:
            records = loaded(node_dir, config, found.plan).records
            peers = serving.peers(cards, month_of(day))
            # A new token by hand needs a consent in the data; a correction goes by the one that it corrects.
            asking = correction is not None and config.serving.consents == "request"
            maker = TokenMaker(node_dir.identity(), ledger, store, found, records, peers, asking)
            return maker.make(asked, day, correction)
        except NoToken as error:
            fail(f"no token ({error.code}): {error}", FAILED)
        finally:
            store.close()


def _give(output: Path, made: bytes, lender: str) -> None:
    _write(output, base64.urlsafe_b64encode(made).decode("ascii") + "\n", _OWNER)
    console.print(f"written to {foreign(output)}; give it to the creator, for the application at {foreign(lender)}")


@tokens_app.command()
def charge(folder: Folder = HERE) -> None:
    """At a platform: charge today's block for every live release and lender, whether or not anybody agrees today."""
    node_dir = of_role(folder, "platform")
    with opened(node_dir) as ledger:
        store = ServingDir(node_dir).store()
        live = [one.manifest.hash for one in ledger.state.serving.live]
        try:
            for hash in live:
                charge_days(ledger, store, hash, today())
        except NoToken as error:
            fail(f"not charged ({error.code}): {error}", FAILED)
        finally:
            store.close()
    console.print(f"charged up to {today()}: {len(live)} live release{'' if len(live) == 1 else 's'}")


@tokens_app.command()
def withdraw(lender: Lender, person: Person, folder: Folder = HERE) -> None:
    """At a platform: a creator withdraws. Tokens that were given go into the day's batch for the lender.

    No further token is made for that lender, but by a consent that is given on a later day. Take the consent out of the
    table of consents, too.
    """
    node_dir = of_role(folder, "platform")
    form = normal_form(node_dir, person)
    store = ServingDir(node_dir).store()
    try:
        with store.transaction() as own:
            count = own.withdraw(form, lender, str(today()))
    finally:
        store.close()
    console.print(f"noted; {count} token{'' if count == 1 else 's'} will be in the next batch for {foreign(lender)}")


@tokens_app.command()
def factors(release: ReleaseArgument, person: Person, folder: Folder = HERE) -> None:
    """At a platform: what moves a creator's level, in words, for her to see before she applies; nothing is charged."""
    node_dir = of_role(folder, "platform")
    form = normal_form(node_dir, person)
    serving, config = ServingDir(node_dir), node_dir.config()
    hash, _ = approved_release(node_dir, release)
    found = serving.release(hash)
    records = loaded(node_dir, config, found.plan).records
    if form not in records.person:
        fail("there is no record of this creator in today's data", FAILED)
    row = records.person.index(form)
    moved = LevelFactors(found.plan, found.content.towers[found.plan.party(config.node.name).group])
    print(json.dumps(moved.of({name: values[row : row + 1] for name, values in records.columns.items()}), indent=1))


@batch_app.command("make")
def batch(
    release: ReleaseArgument,
    lender: Lender,
    output: Output,
    receipt: Annotated[Path | None, typer.Option(help="First take the lender's receipt of an earlier batch.")] = None,
    folder: Folder = HERE,
) -> None:
    """At a platform: seal the day's batch of withdrawals for a lender, always of one size, with dummies."""
    node_dir = of_role(folder, "platform")
    serving = ServingDir(node_dir)
    # Also under one that was ended: creators withdraw what was told under it.
    hash, _ = approved_release(node_dir, release, ended=True)
    found, day = serving.release(hash), today()
    card = _card(found.plan.cards, lender)
    with opened(node_dir) as ledger:
        side = PlatformRelay(node_dir.identity(), ledger, serving, _warn)
        if receipt is not None:
            console.print(f"receipt of batch {side.receipt(_text(receipt), card)} taken")
        text = side.batch(found, card, day)
    if text is None:
        fail(f"there is no serving key of {foreign(lender)} for {month_of(day)}; ask it for that month's", BAD_INPUT)
    with closing(serving.store()) as store:
        unreceipted = late_batches(store, day).get(lender, [])
    _write(output, text, _OWNER)
    console.print(f"written to {foreign(output)}; send it to {foreign(lender)}")
    if unreceipted:
        _warn(late_words(lender, unreceipted))


@batch_app.command()
def take(
    file: Annotated[Path, typer.Argument(help="A batch from a platform.")], output: Output, folder: Folder = HERE
) -> None:
    """At a lender: take a platform's batch. The tokens in it are used no more; the receipt goes back."""
    node_dir = of_role(folder, "lender")
    retention_days = node_dir.config().serving.retention_days
    with opened(node_dir) as ledger:
        side = LenderRelay(node_dir.identity(), ledger, ServingDir(node_dir), _warn, retention_days)
        receipt, count = side.take_file(_text(file), today())
    _write(output, receipt, _OWNER)
    console.print(f"{count} token{'' if count == 1 else 's'} withdrawn; send {foreign(output)} back to the platform")


@key_app.command("make")
def serving_key(output: Output, folder: Folder = HERE) -> None:
    """At a lender: write this month's serving key (made where there is none), to be given to the platforms."""
    node_dir = of_role(folder, "lender")
    serving = ServingDir(node_dir)
    key = serving.serving_key(node_dir.identity(), month_of(today()))
    _write(output, key.certificate + "\n")
    with opened(node_dir) as ledger:
        days = max((one.manifest.token_days for one in ledger.state.serving.releases.values()), default=90)
    for month in serving.destroy_keys(today(), days):
        console.print(f"the key of {month} is destroyed: its last token has ended")
    console.print(f"written to {foreign(output)}: the serving key of {key.month}; give it to the platforms")


@key_app.command("take")
def take_key(
    file: Annotated[Path, typer.Argument(help="A lender's serving key.")], lender: Lender, folder: Folder = HERE
) -> None:
    """At a platform: take a lender's serving key of a month, certified by its trusted card."""
    node_dir = of_role(folder, "platform")
    peer = ServingDir(node_dir).keep_peer(_text(file), _card(node_dir.trust().cards, lender))
    console.print(f"taken: the serving key of {foreign(lender)} for {peer.month}")


@tokens_app.command()
def told(person: Person, folder: Folder = HERE) -> None:
    """At a platform: show all that was told of a person for scoring, as one JSON object a line."""
    node_dir = of_role(folder, "platform")
    form = normal_form(node_dir, person)
    store = ServingDir(node_dir).store()
    try:
        for row in store.told_of(form):
            print(json.dumps(row))
    finally:
        store.close()


def _warn(words: str) -> None:
    console.print(f"[red]{foreign(words)}[/red]")


def of_role(folder: Path, role: str) -> NodeDir:
    """The node's folder; ends with an error where the node has another role."""
    node_dir = node_dir_at(folder)
    if (found := node_dir.config().node.role) != role:
        fail(f"this is a {found}'s node; this command is a {role}'s", BAD_INPUT)
    return node_dir


def typed(person: str) -> str:
    """An identifier as it was typed; - takes it from standard input, where no list of processes shows it."""
    return sys.stdin.readline().strip() if person == "-" else person


def normal_form(node_dir: NodeDir, person: str) -> str:
    """The normal form of an identifier that was typed; ends with an error where it has none."""
    form = node_dir.config().data.form
    found = NORMAL_FORMS[form](typed(person))
    if not found:
        fail(f"the identifier has no normal form as {form}; correct it", BAD_INPUT)
    return found


def _card(cards: Mapping[str, Card], name: str) -> Card:
    if name not in cards:
        fail(
            f"{foreign(name)}: there is no card of it here; known: {', '.join(map(foreign, sorted(cards)))}", BAD_INPUT
        )
    return cards[name]


def _write(path: Path, text: str, mode: int | None = None) -> None:
    """Write what is given away; what was charged or noted for it is kept, so the command can be repeated."""
    try:
        write_whole(path, text, mode)
    except OSError as error:
        fail(
            f"{path}: cannot be written ({error.strerror}); see to it, and repeat the command: nothing is lost", FAILED
        )


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError as error:
        fail(f"{path}: cannot be read ({error.strerror})", BAD_INPUT)
