"""What an epsilon means for one person, in words and as a table of what a membership attacker can do with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sealscore.shared.dp.membership import BASE_RATES, least_believed, most_believed, precision, success
from sealscore.shared.text.catalogue import tr
from sealscore.shared.text.numbers import percent, short

# Of the absent, the share that the attacker of the last column is ready to accuse.
FALSE_POSITIVES = 0.001

SOURCES = (
    "Wasserman and Zhou (2010), A Statistical Framework for Differential Privacy, theorem 2.4",
    "Kairouz, Oh and Viswanath (2015), The Composition Theorem for Differential Privacy, theorem 2.1",
)


@dataclass(frozen=True)
class Chance:
    """What an attacker can do who believes with probability `rate` that the person was among the records.

    `most` and `least` are beliefs after, `blind` the share of right guesses without looking at the results, `right`
    the most with them, `precise` the most that accusations can be worth where one of 1,000 absent persons is accused.
    """

    rate: float
    most: float
    least: float
    blind: float
    right: float
    precise: float

    @classmethod
    def at(cls, epsilon: float, delta: float, rate: float) -> Chance:
        """See `sealscore.shared.dp.membership`; ValueError where a number is out of its range."""
        return cls(
            rate,
            most_believed(epsilon, rate),
            least_believed(epsilon, rate),
            max(rate, 1 - rate),
            success(epsilon, delta, rate),
            precision(epsilon, delta, rate, FALSE_POSITIVES),
        )


def chances(epsilon: float, delta: float) -> list[Chance]:
    """For base rates of 1, 10 and 50 %."""
    return [Chance.at(epsilon, delta, rate) for rate in BASE_RATES]


def in_words(epsilon: float, delta: float) -> list[str]:
    """Paragraphs for a reader who knows no statistics."""
    even = Chance.at(epsilon, delta, 0.5)
    told = [
        tr(
            "Somebody knows everything about everybody else, sees all that was released, and wonders whether one "
            "person was among the records. Epsilon {epsilon} bounds how much the results can help them: whatever is "
            "seen would have been seen with nearly the same probability without this person, up to a factor of "
            "{factor}.",
            epsilon=short(epsilon),
            factor=short(math.exp(epsilon)),
        )
    ]
    if delta:
        told.append(
            tr(
                "Delta {delta} is the part of probability for which no such factor is promised. It must be well below "
                "one in the number of persons, or it could be used up by naming a few of them outright.",
                delta=short(delta),
            )
        )
    told.append(
        tr(
            "Who would have guessed by a coin is right at most {right} of the time with the results, so wrong about "
            "one person in {wrong} or oftener. What is true of people in general is learnt either way, and is not "
            "what epsilon bounds.",
            right=percent(even.right, 1),
            wrong=short(1 / (1 - even.right)),
        )
    )
    told.append(_judged(epsilon))
    return told


def _judged(epsilon: float) -> str:
    if epsilon <= 1:
        size = tr("At this size the results can shift a belief about one person, and make nobody sure.")
    elif epsilon <= 3:
        size = tr("At this size the results can move a belief about one person far, though not to near certainty.")
    elif epsilon <= 8:
        size = tr("At this size the bound alone allows an attacker to become fairly sure of one person.")
    else:
        size = tr("At this size the bound alone promises next to nothing; what attacks achieve in practice is left.")
    return size + " " + tr("It is a bound against any attacker; attacks that are known do worse.")
