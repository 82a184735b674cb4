"""What a ledger can contain: every kind of entry, as frozen data.

Kinds and fields are never removed and never change their meaning.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sealscore.shared.dp.events import Count, Event, Positive
from sealscore.shared.plan.settings import Form
from sealscore.shared.randomness.streams import Source

FORMAT: Literal[1] = 1

Part = Literal["training", "test", "all"]
"""Whose records a sum reads: training persons', test persons', or both where a person may be either."""

PARTS: tuple[Part, ...] = ("training", "test", "all")

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Code = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Seq = Annotated[int, Field(ge=1, lt=2**63, strict=True)]
Number = Annotated[int, Field(ge=0, lt=2**63, strict=True)]


# Longer ones are kept by their digest.
_LONGEST_MEANING = 500
_DIGEST = "sha256:"


def kept_meaning(what: str) -> str:
    """What names the meaning of values, as a ledger keeps it: long ones by their digest, so that no two become one."""
    if len(what) <= _LONGEST_MEANING and not what.startswith(_DIGEST):
        return what
    return _DIGEST + hashlib.sha256(what.encode()).hexdigest()


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Ceilings(_Entry):
    """What the operator lets be spent of one person of the data set, over its whole life; None is no ceiling.

    `epsilon` (at `delta`) is over all plans, `purposes` over the plans of each purpose; a purpose that is not named has
    no ceiling of its own. `label_epsilon` is over all releases of a label, `signal_bits` over all disclosures of
    signals.
    """

    epsilon: Positive | None
    delta: Annotated[float, Field(gt=0, le=1e-3)]
    purposes: dict[Code, Positive] = Field(default_factory=dict)
    label_epsilon: Positive | None = None
    signal_bits: Count = 4


class Open(_Entry):
    """The first entry: whose ledger this is, of which data set, and what may be spent of it."""

    kind: Literal["open"] = "open"
    format: Literal[1] = FORMAT
    card: Text
    data_set: Text
    ceilings: Ceilings


class Identify(_Entry):
    """What a person is in the data set, for its whole life: the own column that names the person, in one normal form.

    Coins, bits, splits and limits are keyed by that string, so under a second spelling a person would be a second one.
    """

    kind: Literal["identify"] = "identify"
    column: Annotated[str, Field(min_length=1, max_length=120)]
    form: Form


class Limit(_Entry):
    """The operator sets other ceilings from here on."""

    kind: Literal["limit"] = "limit"
    ceilings: Ceilings
    why: Text


class Approve(_Entry):
    """The operator approves a plan, whose canonical text is kept here."""

    kind: Literal["approve"] = "approve"
    plan: Hash
    text: Annotated[str, Field(min_length=2)]


class _Place(_Entry):
    """Where in a run of an approved plan something happened."""

    plan: Hash
    run: Text
    phase: Text
    round: Number
    attempt: Number


class Reserve(_Place):
    """Committed before data is read: up to `count` answers of a phase, from this round and attempt on.

    One answer costs `event`. A block (`count` above 1) is for rounds up to `round + count - 1`. `own_noise` is the
    standard deviation of this party's own noise over that on which `event` counts; the rest is added by others of the
    cohort of that size, of whom up to `max_colluding` may take off their own.
    """

    kind: Literal["reserve"] = "reserve"
    count: Annotated[int, Field(ge=1, le=50, strict=True)] = 1
    event: Event
    part: Part
    own_noise: Annotated[float, Field(ge=0)]
    cohort: Count
    max_colluding: Number
    source: Source


class Answer(_Place):
    """Committed before an answer leaves: `count` answers under a reservation, the last of them at this place.

    `request` is the digest of the last request. A step of a paired phase has a `peer` and no reservation.
    """

    kind: Literal["answer"] = "answer"
    reserve: Seq | None = None
    count: Count = 1
    peer: str = ""
    request: Hash


class Abort(_Entry):
    """So many of the answers of a reservation will never be given: none of them had left."""

    kind: Literal["abort"] = "abort"
    reserve: Seq
    count: Count
    why: Code


class Disclose(_Place):
    """Committed before a sealed payload leaves: what `peer` gets, of how many persons, of how many of them first.

    `what` names the meaning of the values, so that the same values sent again can be known (see `kept_meaning`; ledgers
    of earlier versions have the first 500 characters of a longer one). `register_head` is the head of
    the party's disclosure store after the disclosure.
    """

    kind: Literal["disclose"] = "disclose"
    peer: Text
    event: Event
    what: str = ""
    persons: Number
    fresh: Number
    source: Source
    register_head: Hash | None = None


class Refuse(_Place):
    """A request that was not answered, and the code that the server was given."""

    kind: Literal["refuse"] = "refuse"
    code: Code
    why: str = ""


class Settle(_Entry):
    """The plan has ended here: nothing more is answered under it, and what it did not use is free again."""

    kind: Literal["settle"] = "settle"
    plan: Hash
    why: Code


class Revoke(_Entry):
    """The operator withdraws the approval of a plan; what was answered stays charged."""

    kind: Literal["revoke"] = "revoke"
    plan: Hash
    why: Text


class Withdraw(_Entry):
    """Consents that were withdrawn: passed on to a peer, or received from one and its disclosures deleted."""

    kind: Literal["withdraw"] = "withdraw"
    plan: Hash
    peer: Text
    direction: Literal["passed", "received"]
    persons: Number
    register_head: Hash | None = None


Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class TellLimit(_Entry):
    """The most bits of one kind that may be told of a person for scoring: in a calendar month, and ever.

    Of the watch bit `month` is a calendar quarter: the name is that of entries from before it.
    """

    month: Count
    life: Count


class AdmitRelease(_Entry):
    """The operator approves a release, whose manifest is kept here as its canonical text.

    `limits` are those of the operator by the kind of what is told; at a lender, which tells nothing, there are none.
    """

    kind: Literal["admit-release"] = "admit-release"
    release: Hash
    plan: Hash
    text: Annotated[str, Field(min_length=2)]
    limits: dict[Code, TellLimit] = Field(default_factory=dict)


class EndRelease(_Entry):
    """The operator withdraws a release: no token is made under it any more, and nothing is scored by it."""

    kind: Literal["end-release"] = "end-release"
    release: Hash
    why: Text


class ServeDay(_Entry):
    """Committed before the first token of a day, and also where none is made: what one lender may be told that day.

    Of up to `most` persons, up to `bits` by kind, each. `store_head` is the head of the serving store before the day.
    """

    kind: Literal["serve-day"] = "serve-day"
    release: Hash
    peer: Text
    day: Day
    most: Count
    bits: dict[Code, Count]
    store_head: Hash


class ServeCorrect(_Entry):
    """Committed before a corrected token leaves: what was told of one person in the month of `day` was computed from
    wrong rows, and is told once more, beyond the limits, up to `bits` by kind.

    `peer` is the lender of the token; others get the corrected values in the place of the wrong ones too. `cause` is a
    code, `why` the operator's words, `store_head` the head of the serving store before.
    """

    kind: Literal["serve-correct"] = "serve-correct"
    release: Hash
    peer: Text
    day: Day
    bits: Annotated[dict[Code, Count], Field(min_length=1)]
    cause: Code
    why: Text
    store_head: Hash


class ServeWithdraw(_Entry):
    """Consents to scoring that were withdrawn: passed on in a batch of that number, or received in one and deleted."""

    kind: Literal["serve-withdraw"] = "serve-withdraw"
    peer: Text
    direction: Literal["passed", "received"]
    batch: Count
    persons: Number


class LogDay(_Entry):
    """The head of the log of scores when a day was over, whether or not anybody was scored."""

    kind: Literal["log-day"] = "log-day"
    day: Day
    head: Hash


ServingEntry = AdmitRelease | EndRelease | ServeDay | ServeCorrect | ServeWithdraw | LogDay
"""What a ledger has of serving; nothing of it is a release of training."""

Entry = Annotated[
    Open
    | Identify
    | Limit
    | Approve
    | Reserve
    | Answer
    | Abort
    | Disclose
    | Refuse
    | Settle
    | Revoke
    | Withdraw
    | ServingEntry,
    Field(discriminator="kind"),
]
