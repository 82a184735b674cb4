"""What a party has released so far, as events: an accountant composes them to the party's own epsilon."""

from __future__ import annotations

from collections import Counter

from shared.messages import Header
from shared.privacy.accountant import Accountant
from shared.privacy.events import Disclosure, Event, RandomizedResponse

Sealed = RandomizedResponse | Disclosure


class Charges:
    """The releases of one party under one plan, in memory.

    Keeps training persons' and test persons' releases apart: nobody is in both, so the claim about a person is the
    larger of the two figures.
    """

    def __init__(self, test_phases: frozenset[str]) -> None:
        self._test_phases = test_phases
        self._counts: dict[bool, Counter[Event]] = {False: Counter(), True: Counter()}

    def __call__(self, header: Header, event: Event) -> None:
        """Note a release before it happens."""
        self._counts[header.phase in self._test_phases][event] += 1

    def events(self, test: bool) -> list[Event]:
        """Everything that was noted of training persons, or of test persons."""
        return [event.model_copy(update={"count": event.count * times}) for event, times in self._counts[test].items()]

    def epsilon(self, accountant: Accountant, delta: float) -> float:
        """Epsilon at `delta` of everything that was noted, except payloads that only a peer can open."""
        sums = [[e for e in self.events(test) if not isinstance(e, Sealed)] for test in (False, True)]
        return max(accountant.epsilon(events, delta) for events in sums)
