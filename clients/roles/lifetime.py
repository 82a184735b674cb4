"""What a party must remember of its data set for good, whatever plans come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sealscore.clients.roles.bands import GROUP_BITS
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.disclosures import Disclosed
from sealscore.shared.ledger.labels import LabelStore
from sealscore.shared.randomness.fills import Fills
from sealscore.shared.randomness.streams import StreamSource

SIGNAL_BITS = 4


class TokenLevels(Protocol):
    """Levels of tokens that a lender keeps for retraining."""

    def deletions(self) -> int:
        """A number that has grown since a level was deleted."""
        ...

    def of(self, platform: str, meaning: str, purpose: str, persons: Iterable[str]) -> Mapping[str, int]:
        """Those of persons, that a platform told under a meaning for a purpose."""
        ...


@dataclass(frozen=True)
class Lifetime:
    """The disclosure store of a data set's persons, with the label bits and disclosures that it has.

    `limit` gives what the operator lets be told of one person's channel at the moment, `group_bits` is what of bands of
    protected attributes, whatever a plan says. `token_levels` are what a lender keeps of tokens, None where there are
    none.
    """

    disclosure_store: DisclosureStore
    labels: LabelStore
    disclosed: Disclosed
    fills: Fills
    limit: Callable[[], int]
    group_bits: int = GROUP_BITS
    token_levels: TokenLevels | None = None

    @property
    def signal_bits(self) -> int:
        """The limit as it is now: an operator can lower it while a plan's door is open."""
        return self.limit()

    @classmethod
    def of(
        cls,
        secret: StreamSource,
        disclosure_store: DisclosureStore,
        signal_bits: int | Callable[[], int] = SIGNAL_BITS,
        group_bits: int = GROUP_BITS,
        token_levels: TokenLevels | None = None,
    ) -> Lifetime:
        """Of the data set of that disclosure store; `secret` keys its label coins and fills, and must stay the same."""
        labels, disclosed = LabelStore(secret, disclosure_store), Disclosed(secret, disclosure_store)
        limit = signal_bits if callable(signal_bits) else lambda: signal_bits
        return cls(disclosure_store, labels, disclosed, Fills(secret), limit, group_bits, token_levels)

    @classmethod
    def fresh(cls, secret: StreamSource, signal_bits: int = SIGNAL_BITS, group_bits: int = GROUP_BITS) -> Lifetime:
        """Of a data set of which nothing was released yet, remembered in this process only."""
        return cls.of(secret, DisclosureStore(), signal_bits, group_bits)
