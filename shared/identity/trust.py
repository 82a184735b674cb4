"""Which cards an operator trusts. A plan is written by the server, so the cards in it prove nothing by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from sealscore.shared.files import write_whole
from sealscore.shared.identity.identity import Card, CardError, Identity, same_fingerprint

_FORMAT = "sealscore-trust-1"


class EnrolmentError(ValueError):
    """Cards that cannot be in one plan: two of one name, or one key under two names."""


class Untrusted(ValueError):
    """Cards that the operator did not trust; names each with its fingerprint and the fix."""


class TrustError(ValueError):
    """A card that cannot be trusted as asked, or a file of trusted cards that cannot be used."""


def enrolled(cards: Iterable[Card]) -> dict[str, Card]:
    """The cards of a plan by name.

    Raises:
        EnrolmentError: see the class. One key under two names would count one party as two in a cohort.
    """
    by_name: dict[str, Card] = {}
    by_key: dict[bytes, str] = {}
    for card in cards:
        if card.name in by_name:
            raise EnrolmentError(f"two cards are named {card.name!r}; a party is enrolled once")
        if card.key in by_key:
            raise EnrolmentError(f"{by_key[card.key]!r} and {card.name!r} have the same key; a party is enrolled once")
        by_name[card.name], by_key[card.key] = card, card.name
    return by_name


class TrustStore:
    """The cards that an operator trusts, one a name, kept in a JSON file where a path is given.

    The file is read again when another process has changed it, so every look at the cards may raise TrustError.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read the file if it is there; TrustError where it is damaged."""
        self._path = path
        self._cards: dict[str, Card] = {}
        self._seen: tuple[int, ...] | None = None
        self._refresh()

    @classmethod
    def simulated(cls, cards: Iterable[Card]) -> TrustStore:
        """All of these cards trusted without a look, as a simulation's launcher does; TrustError for a real one."""
        store = cls()
        for card in cards:
            if not card.simulation:
                raise TrustError(f"the card of {card.name!r} is a real one; its fingerprint must be compared")
            store._cards[card.name] = card
        return store

    @property
    def cards(self) -> dict[str, Card]:
        """The trusted cards by name."""
        self._refresh()
        return dict(self._cards)

    def trust(self, card: Card, fingerprint: str) -> None:
        """Trust a card whose fingerprint came over another channel than the card.

        Raises:
            TrustError: the fingerprint is another's, another card of this name is trusted, or the card is one of a
                simulation.
        """
        if card.simulation:
            raise TrustError(
                f"the card of {card.name!r} is one of a simulation: whoever knows the seed can sign for it"
            )
        if not same_fingerprint(card.fingerprint, fingerprint):
            raise TrustError(
                f"the card of {card.name!r} has the fingerprint {card.fingerprint}, not {fingerprint}: ask its holder "
                "for both again, over another channel than before"
            )
        known = self.cards.get(card.name)
        if known is not None and known.key != card.key:
            raise TrustError(
                f"another card of {card.name!r} is trusted, {known.fingerprint}; if its holder confirms the new one, "
                "forget the old one first"
            )
        self._keep({**self._cards, card.name: card})

    def forget(self, name: str) -> None:
        """Trust no card of this name; TrustError where there is none."""
        if name not in self.cards:
            raise TrustError(f"no card of {name!r} is trusted; trusted: {', '.join(sorted(self._cards)) or 'none'}")
        self._keep({other: card for other, card in self._cards.items() if other != name})

    def check(self, cards: Iterable[Card], own: Identity | None = None) -> dict[str, Card]:
        """The cards of a plan by name, if each is trusted or the own one.

        Raises:
            EnrolmentError: see the class.
            Untrusted: see the class.
        """
        by_name = enrolled(cards)
        known, faults = self.cards, []
        for name, card in by_name.items():
            trusted = own.card if own is not None and own.name == name else known.get(name)
            if trusted is None:
                faults.append(
                    f"no card of {name!r} is trusted; the plan's is {card.fingerprint}: compare that with its holder, "
                    "over another channel than it came, and trust the card"
                )
            elif (trusted.key, trusted.role, trusted.simulation) != (card.key, card.role, card.simulation):
                faults.append(
                    f"the plan's card of {name!r} is {card.fingerprint}, but you trust {trusted.fingerprint}: ask its "
                    "holder which is right, and the server for a plan with that one"
                )
        if faults:
            raise Untrusted("; ".join(faults))
        return by_name

    def _refresh(self) -> None:
        if self._path is None or (now := _state(self._path)) == self._seen:
            return
        self._cards = {} if now is None else _read(self._path)
        self._seen = now

    def _keep(self, cards: dict[str, Card]) -> None:
        if self._path is not None:
            content = {"format": _FORMAT, "cards": [cards[name].text for name in sorted(cards)]}
            write_whole(self._path, json.dumps(content, indent=1) + "\n")
        self._cards = cards


def _state(path: Path) -> tuple[int, ...] | None:
    """What distinguishes one version of a file from the next; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrustError(f"{path}: cannot be read ({error.strerror})") from None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> dict[str, Card]:
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        if content["format"] != _FORMAT:
            raise CardError(f"it is of the format {content['format']!r}")
        cards = [Card.from_text(text) for text in content["cards"]]
    except OSError as error:
        raise TrustError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TrustError(
            f"{path}: is damaged ({type(error).__name__}: {error}); restore it, or remove it and trust each peer again"
        ) from None
    try:
        return enrolled(cards)
    except EnrolmentError as error:
        raise TrustError(f"{path}: {error}") from None
