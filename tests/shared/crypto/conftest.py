"""A small federation's identities and keys, made once: key generation is what takes time."""

from dataclasses import dataclass

import pytest

from sealscore.shared.crypto.sealing import PlanKeys, peer_key
from sealscore.shared.crypto.seeds import Seeds, split_offer
from sealscore.shared.identity.identity import Identity

PLAN = "ab" * 32


@dataclass
class Members:
    """Some parties and a server under one plan."""

    identities: dict
    keys: dict
    cards: dict
    peers: dict

    @classmethod
    def of(cls, names):
        identities = {name: Identity.simulated(1, name, "server" if name == "server" else "lender") for name in names}
        keys = {name: PlanKeys.generate(identity, PLAN) for name, identity in identities.items()}
        cards = {name: identity.card for name, identity in identities.items()}
        peers = {name: peer_key(keys[name].certificate, cards[name], PLAN) for name in names}
        return cls(identities, keys, cards, peers)

    def seeds(self, names, run="run", epoch=1, exchanged=True):
        """Seeds of these parties with each other, their offers carried as a server would."""
        peers = {name: self.peers[name] for name in names}
        made = {n: Seeds(self.identities[n], self.keys[n], run, epoch, self.cards, peers) for n in names}
        if exchanged:
            for seeds in made.values():
                for peer, delivery in split_offer(seeds.offer)[2].items():
                    assert made[peer].accept(delivery) == seeds.name
        return made


@pytest.fixture(scope="session")
def members():
    return Members.of(["p0", "p1", "p2", "p3", "p4", "server"])
