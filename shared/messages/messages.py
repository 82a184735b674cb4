"""What server and parties say to each other: a frozen dataclass for each kind of message.

How a message becomes bytes is in `codec`; its kind travels as the name of its class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np

from sealscore.shared.messages.codec import Address, register


@dataclass(frozen=True)
class Hello:
    """Server to party: are you there? Touches no data and costs nothing."""

    header: Address


@dataclass(frozen=True)
class Ready:
    """Party to server: I am there, under this plan."""

    header: Address


@dataclass(frozen=True)
class Join:
    """Server to party, signed: the run begins, or starts over for somebody who was away.

    `certificate` is that of the server's key under the plan, `time` the server's clock in seconds since 1970. The
    header's attempt is the epoch, which rises each time. `anchors` are what the server holds of the party's ledger.
    """

    header: Address
    certificate: bytes
    time: int
    anchors: tuple[bytes, ...]


@dataclass(frozen=True)
class Joined:
    """Party to server, signed: the certificate of its key under the plan, and the heads that it keeps of others."""

    header: Address
    certificate: bytes
    heads: tuple[bytes, ...]


@dataclass(frozen=True)
class Introduce:
    """Server to party: the certificates of all parties that joined, by name, and what others keep of its own ledger."""

    header: Address
    certificates: dict[str, bytes]
    anchors: tuple[bytes, ...]


@dataclass(frozen=True)
class Offered:
    """Party to server: its offer of seeds to the other parties of its group, empty where there are none."""

    header: Address
    offer: bytes


@dataclass(frozen=True)
class Deliver:
    """Server to party: what the other parties of its group offered to it."""

    header: Address
    offers: tuple[bytes, ...]


@dataclass(frozen=True)
class Publish:
    """Server to party: a public part of the model (bins, a tower), to be kept under the digest of its body."""

    header: Address
    name: str
    body: bytes


@dataclass(frozen=True)
class Stored:
    """Party to server: I keep the part with this digest."""

    header: Address
    digest: str


@dataclass(frozen=True)
class SumRequest:
    """Server to party: answer with your contribution to a sum over `cohort`.

    `parameters` is float64 [p], the weights of a training round, empty elsewhere. `parts` names the published
    parts that the phase builds on, name to digest. Everything else comes from the plan.
    """

    header: Address
    cohort: tuple[str, ...]
    parameters: np.ndarray
    parts: dict[str, str]


@dataclass(frozen=True)
class SumAnswer:
    """Party to server: a contribution, of plan-fixed length whatever the data."""

    header: Address
    contribution: bytes


@dataclass(frozen=True)
class PairRequest:
    """Server to party: take `body`, which `peer` sent you, and give what you have for `peer` at this step.

    The step is the header's round. `parts` names the published parts that the phase builds on, name to digest.
    """

    header: Address
    peer: str
    body: bytes
    parts: dict[str, str]


@dataclass(frozen=True)
class PairAnswer:
    """Party to server: a payload to be carried to the peer, of plan-fixed length whatever the data."""

    header: Address
    body: bytes


@dataclass(frozen=True)
class Finish:
    """Server to party: the run has ended; nothing more is asked under the plan."""

    header: Address


@dataclass(frozen=True)
class Propose:
    """Server to party, signed: the canonical text of a plan, for the party's operator to look at."""

    header: Address
    text: bytes


@dataclass(frozen=True)
class ProposeRelease:
    """Server to party, signed: all files of a release by name, for the party's operator to look at.

    The header's plan is the release's hash, so that an answer names the release that it is about.
    """

    header: Address
    files: dict[str, bytes]


@dataclass(frozen=True)
class Relay:
    """Server to party, signed: what partners have sent to the party for scoring, by sender; it answers with its own.

    The header's run is a random name, so that an answer is to this message and to no earlier one. `parcels` are lines
    of text that are sealed or signed by their senders: the day's batch, its receipt, serving keys.
    """

    header: Address
    parcels: dict[str, bytes]


@dataclass(frozen=True)
class Relayed:
    """Party to server, signed: what the party sends to partners for scoring, by recipient."""

    header: Address
    parcels: dict[str, bytes]


@dataclass(frozen=True)
class Asked:
    """Server to party: a request, as its kind and body, with what goes along with every request.

    `heads` are the other parties' signed heads, `receipt` the server's for the party's own last one (empty where there
    is none), `notices` what peers have sealed to the party about withdrawn consents, by sender.
    """

    header: Address
    kind: str
    body: bytes
    heads: tuple[bytes, ...]
    receipt: bytes
    notices: dict[str, bytes]


@dataclass(frozen=True)
class Answered:
    """Party to server: a reply, as its kind and body, with the head of the party's ledger and notices to peers."""

    header: Address
    kind: str
    body: bytes
    head: bytes
    notices: dict[str, bytes]


@dataclass(frozen=True)
class Refusal:
    """Party to server: no, by a code that does not depend on the data."""

    header: Address
    code: str


SetUp = Propose | ProposeRelease | Relay | Relayed | Join | Joined | Introduce | Offered | Deliver
Wrapped = Asked | Answered
Request = Hello | Publish | SumRequest | PairRequest | Finish
Reply = Ready | Stored | SumAnswer | PairAnswer | Refusal
Message = SetUp | Wrapped | Request | Reply

register(get_args(Message))
