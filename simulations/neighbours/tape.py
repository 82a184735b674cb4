"""What is heard of a world while it answers: exact sums before noise, and the examples that towers learn from.

A node's role is wrapped, as in `sealscore.simulations.audit.parties`; the node around it is the real one. Coins are
the same in every world by being those of the person: all heads in samples, so that every record is there, and fill
values that follow from whose they stand for.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sealscore.clients.node.node import Node
from sealscore.clients.roles.releases import Payload
from sealscore.clients.roles.role import Pair, PairContext, RoundContext, Sum
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Purpose, Stream

Vectors = list[NDArray[np.int64]]
_FILLED = (Kind.LABELS, Kind.SIGNAL, Kind.GROUPS)


@dataclass
class Tape:
    """What was heard, by the place of the request that was being answered.

    `exact` has the vectors before noise, int64 in grid units, of each answer with a sum (several where a party takes
    local steps), `released` what took their place after noise, and `mechanisms` how they are bounded. `examples` counts
    the rows (codes and target) that a party's tower learnt from, by phase and party.

    With `follow`, the tape of another world, what is released is what was released there: a sum of several steps then
    builds on the same history in both, as the composition of epsilon takes for granted.
    """

    follow: Tape | None = None
    place: int = -1
    exact: dict[int, Vectors] = field(default_factory=dict)
    released: dict[int, Vectors] = field(default_factory=dict)
    mechanisms: dict[int, Mechanism] = field(default_factory=dict)
    examples: dict[tuple[str, str], Counter[bytes]] = field(default_factory=dict)

    def hear(self, mechanism: Mechanism, vector: np.ndarray) -> np.ndarray:
        """Note a vector before noise; returns what is released in its place."""
        exact, released = (found.setdefault(self.place, []) for found in (self.exact, self.released))
        self.mechanisms[self.place] = mechanism
        before = self.follow.released.get(self.place, []) if self.follow is not None else []
        given = before[len(exact)] if len(exact) < len(before) else vector
        exact.append(vector)
        released.append(given)
        return given


@dataclass(frozen=True)
class HeardMechanism(Mechanism):
    """A mechanism that tells what it is to make noisy, and adds no noise."""

    tape: Tape = field(repr=False, compare=False)

    @classmethod
    def of(cls, mechanism: Mechanism, tape: Tape) -> HeardMechanism:
        """The same mechanism, heard."""
        own = {item.name: getattr(mechanism, item.name) for item in dataclasses.fields(mechanism)}
        return cls(**own, tape=tape)

    def noised(self, vector: np.ndarray, stream: Stream, cohort: int, sampler: Any = None) -> np.ndarray:
        return self.tape.hear(self, super().noised(vector, stream, cohort, _Silence()))


class _Silence:
    """A sampler of noise that is none."""

    def sample(self, stream: Stream, scale: float, size: int) -> NDArray[np.int64]:
        return np.zeros(size, dtype=np.int64)


class _Words(Stream):
    """A stream of given words, then of zeros."""

    __slots__ = ("_words",)

    def __init__(self, words: list[int]) -> None:
        self._words, self.source = words, "seeded"

    def words(self, n: int) -> NDArray[np.uint64]:
        taken, self._words = self._words[:n], self._words[n:]
        return np.array(taken + [0] * (n - len(taken)), dtype=np.uint64)

    def words32(self, n: int) -> NDArray[np.uint32]:
        return (self.words(n) >> np.uint64(32)).astype(np.uint32)


@dataclass(frozen=True)
class _AllHeads(RoundContext):
    """A round in which everybody is in the sample."""

    def stream(self, purpose: Purpose, step: int = 0) -> Stream:
        return _Words([]) if purpose is Purpose.SAMPLING else super().stream(purpose, step)


@dataclass(frozen=True)
class _PersonsFill(PairContext):
    """A step whose fill values follow from the persons, in the order of handles, that they stand for."""

    persons: tuple[str, ...] = ()

    def stream(self, purpose: Purpose) -> Stream:
        if purpose is not Purpose.FILLER:
            return super().stream(purpose)
        return _Words([_word(f"{self.address.phase}\0{person}") for person in self.persons])


class HeardRole:
    """A party's role that is heard; whatever is not said here is as in the role."""

    def __init__(self, node: Node, tape: Tape) -> None:
        self._role, self._node, self._tape = node.role, node, tape

    def __getattr__(self, name: str) -> Any:
        return getattr(self._role, name)

    def sum(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """As the role, with everybody in the sample and nothing added."""
        work, mechanism = self._role.sum(phase, parameters, parts)

        def heard(context: RoundContext) -> np.ndarray:
            if phase.of.clips:
                self._keep_examples(phase, parts["bins"])
            return work(_changed(_AllHeads, context))

        return heard, HeardMechanism.of(mechanism, self._tape)

    def pair(self, phase: Phase, step: int, parts: dict[str, bytes]) -> Pair:
        """As the role, with the fill values of persons."""
        work = self._role.pair(phase, step, parts)
        if phase.kind not in _FILLED:
            return work

        def heard(context: PairContext, body: bytes) -> Payload:
            named, _ = self._node.disclosure_store.pairs(self._node.plan.hash).get(context.peer, ({}, 0))
            return work(_changed(_PersonsFill, context, persons=tuple(named[handle] for handle in sorted(named))), body)

        return heard

    def _keep_examples(self, phase: Phase, part: bytes) -> None:
        key = (phase.name, self._node.name)
        if key not in self._tape.examples:
            # The codes of a network follow from the bins.
            binning = bin_rule(self._node.plan, phase.tower).read(part)
            bins, targets = self._role.training_bins(phase.tower, binning)
            rows = np.column_stack([bins.T.astype(np.float64), targets])
            self._tape.examples[key] = Counter(row.tobytes() for row in rows)


def counted_columns(plan: Plan, party: str, records: Records) -> frozenset[str]:
    """The columns of a party's records that some sum or value is made from."""
    group = plan.party(party).group
    if plan.monitoring is not None:
        return frozenset(records.columns)
    scored = {feature.name for feature in tower_features(plan, group)}
    return frozenset((scored | set(plan.evaluation.groups)) & set(records.columns))


def _changed(kind: Callable[..., Any], context: Any, **more: Any) -> Any:
    own = {item.name: getattr(context, item.name) for item in dataclasses.fields(context)}
    return kind(**own, **more)


def _word(what: str) -> int:
    return int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big")
