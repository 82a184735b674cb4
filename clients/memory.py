"""What a node has answered under a plan, kept across restarts: so that nothing is answered twice with fresh noise."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_FORMAT = "sealscore-answered-1"

Place = tuple[int, int, int]


class MemoryDamaged(ValueError):
    """A file of answers that cannot be read, or is of another plan; the message names the file and the mend."""


@dataclass
class Memory:
    """Where a node stands under one plan: the run that it is bound to, and what it has answered last.

    `last` is the (phase index, round, attempt) of the last answer, by peer ("" for sums); `answered` counts answers
    by phase. With a path, `note` is on the disk before the answer leaves: after a crash the node takes an answer for
    given that may never have left, and never the other way round.
    """

    plan: str
    path: Path | None = None
    run: str = ""
    reached: int = 0
    last: dict[str, Place] = field(default_factory=dict)
    answered: Counter[str] = field(default_factory=Counter)

    @classmethod
    def load(cls, path: Path, plan: str) -> Memory:
        """Read the file, or begin it where there is none; MemoryDamaged where it is not this plan's."""
        if not path.exists():
            return cls(plan, path)
        try:
            content = json.loads(path.read_text(encoding="ascii"))
            if (content["format"], content["plan"]) != (_FORMAT, plan):
                raise ValueError("it is of another plan or format")
            last = {peer: (int(a), int(b), int(c)) for peer, (a, b, c) in content["last"].items()}
            return cls(plan, path, str(content["run"]), int(content["reached"]), last, Counter(content["answered"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise MemoryDamaged(
                f"{path}: cannot be used ({error}); restore it, or have a new plan made: without it the node cannot "
                "know what it has answered"
            ) from None

    def bind(self, run: str) -> bool:
        """Bind to a run where there is none yet; whether this is the run."""
        if not self.run:
            self.run = run
            self._keep()
        return self.run == run

    def note(self, phase: str, peer: str, place: Place) -> None:
        """Note an answer before it leaves."""
        self.reached, self.last[peer] = place[0], place
        self.answered[phase] += 1
        self._keep()

    def allows(self, peer: str, place: Place) -> bool:
        """Whether an answer at that place is above all that was answered."""
        return place[0] >= self.reached and place > self.last.get(peer, (-1, 0, 0))

    def _keep(self) -> None:
        if self.path is None:
            return
        content = {"format": _FORMAT, "plan": self.plan, "run": self.run, "reached": self.reached}
        content |= {"last": self.last, "answered": self.answered}
        write_durably(self.path, json.dumps(content))


def write_durably(path: Path, text: str) -> None:
    """Put a whole file in the place of an old one: after a crash there is one of the two, after return the new one."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
