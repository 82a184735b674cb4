"""What a party must remember of its data set for good, whatever plans come and go."""

from __future__ import annotations

from dataclasses import dataclass

from shared.privacy.disclosures import Disclosed
from shared.privacy.labels import LabelStore
from shared.privacy.streams import StreamSource


@dataclass(frozen=True)
class Lifetime:
    """The label bits that were released of a data set, and the bits that were disclosed of its persons."""

    labels: LabelStore
    disclosed: Disclosed

    @classmethod
    def fresh(cls, secret: StreamSource) -> Lifetime:
        """Of a data set of which nothing was released yet; `secret` keys its label coins from now on."""
        return cls(LabelStore(secret), Disclosed())
