"""What masks, seals and signatures add to a round: 10 parties, 5,000 parameters, one core.

A round as it is with them: the server seals and signs a request with the weights to each party; a party checks and
opens it, masks its vector, seals and signs the answer; the server checks and opens all answers and adds them up. The
same round without them encodes, decodes and adds the same messages in clear. The sides take turns and medians are
compared; `party_ms` is what a party itself does more, `round_ms_per_party` all that both sides do more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from sealscore.shared.crypto.aggregation import Aggregation, MaskedSum, PlainSum, SumShape
from sealscore.shared.crypto.sealing import PlanKeys, peer_key, seal_message, unseal_message
from sealscore.shared.crypto.seeds import Seeds, split_offer
from sealscore.shared.identity.identity import Identity
from sealscore.shared.messages.codec import Address, decode, encode
from sealscore.shared.messages.messages import SumAnswer, SumRequest

PARTIES, PARAMETERS, ROUNDS, WARM_UP = 10, 5_000, 40, 3
# 3,000 records at clip norm 1 on the grid of 5,000 parameters, and the noise on top.
BOUND = 3_000 * 2**13 + 2**22
PLAN, RUN, PHASE, SERVER = "5e" * 32, "run-5e5e5e5e5e5e5e5e", "train_tower:lender", "server"


@dataclass
class _Round:
    """One way of doing a round; `spent` are seconds at the parties and in all."""

    total: np.ndarray
    party: float
    all: float
    upload: int


class _Sealed:
    """Everything on: keys, seeds and both sides of a round."""

    def __init__(self, names: list[str]) -> None:
        members = [Identity.generate(name, "lender") for name in names] + [Identity.generate(SERVER, "server")]
        self.identities = {member.name: member for member in members}
        self.cards = {name: identity.card for name, identity in self.identities.items()}
        self.keys = {name: PlanKeys.generate(identity, PLAN) for name, identity in self.identities.items()}
        self.peers = {name: peer_key(keys.certificate, self.cards[name], PLAN) for name, keys in self.keys.items()}
        started = time.perf_counter()
        lenders = {name: self.peers[name] for name in names}
        self.seeds = {
            name: Seeds(self.identities[name], self.keys[name], RUN, 1, self.cards, lenders) for name in names
        }
        self.offer = max(len(seeds.offer) for seeds in self.seeds.values())
        for seeds in self.seeds.values():
            for peer, delivery in split_offer(seeds.offer)[2].items():
                self.seeds[peer].accept(delivery)
        self.set_up = time.perf_counter() - started
        self.sums: dict[str, Aggregation] = {name: MaskedSum(self.seeds[name]) for name in names}

    def send(self, message: SumRequest | SumAnswer) -> bytes:
        """Seal and sign."""
        header = message.header
        return seal_message(message, self.identities[header.sender], self.peers[header.recipient])

    def read(self, data: bytes, at: str, kind: type) -> Any:
        """Check and open."""
        return unseal_message(data, self.keys[at], self.cards, kind)


class _Plain:
    """Everything off."""

    def __init__(self, names: list[str]) -> None:
        self.sums: dict[str, Aggregation] = dict.fromkeys(names, PlainSum())

    def send(self, message: SumRequest | SumAnswer) -> bytes:
        """Encode."""
        return encode(message)

    def read(self, data: bytes, at: str, kind: type) -> Any:
        """Decode."""
        return decode(data, kind)


def _round(side: _Sealed | _Plain, number: int, vectors: dict[str, np.ndarray], weights: np.ndarray) -> _Round:
    cohort, shape = tuple(vectors), SumShape(PARAMETERS, BOUND, PARTIES)
    started = time.perf_counter()
    at_parties, contributions, upload = 0.0, {}, 0
    for name, vector in vectors.items():
        request = side.send(SumRequest(Address(PLAN, RUN, PHASE, number, 1, SERVER, name), cohort, weights, {}))
        arrived = time.perf_counter()
        address = side.read(request, name, SumRequest).header.reply()
        answer = side.send(SumAnswer(address, side.sums[name].protect(address, cohort, shape, vector)))
        at_parties += time.perf_counter() - arrived
        contributions[name] = side.read(answer, SERVER, SumAnswer).contribution
        upload = max(upload, len(answer))
    total = PlainSum().total(cohort, shape, contributions)
    return _Round(total, at_parties, time.perf_counter() - started, upload)


def run() -> dict[str, Any]:
    """Milliseconds a party a round that masks, seals and signatures add, and bytes of an upload beside plain."""
    names = [f"lender-{number}" for number in range(PARTIES)]
    draws = np.random.default_rng(0)
    sealed, plain = _Sealed(names), _Plain(names)
    rows: list[tuple[_Round, _Round]] = []
    for number in range(1, ROUNDS + WARM_UP + 1):
        vectors = {name: draws.integers(-BOUND, BOUND, PARAMETERS, endpoint=True) for name in names}
        weights = draws.standard_normal(PARAMETERS)
        rows.append((_round(sealed, number, vectors, weights), _round(plain, number, vectors, weights)))
    if any((on.total != off.total).any() for on, off in rows):
        raise AssertionError("the unmasked sum is not the plain sum")
    timed = rows[WARM_UP:]
    upload, bits = timed[0][0].upload, SumShape(PARAMETERS, BOUND, PARTIES).bits
    return {
        "party_ms": 1000 / PARTIES * median(on.party - off.party for on, off in timed),
        "round_ms_per_party": 1000 / PARTIES * median(on.all - off.all for on, off in timed),
        "plain_round_ms_per_party": 1000 / PARTIES * median(off.all for _, off in timed),
        "set_up_ms_per_party": 1000 / PARTIES * sealed.set_up,
        "set_up_bytes": sealed.offer,
        "upload_bytes": upload,
        "upload_bytes_plain": timed[0][1].upload,
        "upload_bytes_beyond_vector": upload - PARAMETERS * bits // 8,
        "upload_bytes_per_parameter": upload / PARAMETERS,
        "upload_limit_bytes": 5 * PARAMETERS + 1_500,
        "bits_per_parameter": bits,
        "parameters": PARAMETERS,
        "parties": PARTIES,
    }
