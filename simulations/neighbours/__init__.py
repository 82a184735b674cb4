"""The watch on neighbours: two worlds that differ in one person answer the same requests with the same coins.

What a claim of epsilon takes for granted is that a person moves each sum by no more than its event says, and moves
nothing else. Here a whole plan is run from the parties' raw tables on, every request of the server is recorded, and a
world without one person answers the same requests. The sums are compared before noise; values that cross between
parties, messages and the records themselves are compared too. It can find a claim to be wrong and never prove one.
"""

PERSONS = 12
"""Persons who are left out, one at a time."""

HALVES = 1
"""How often all persons are cut into two halves, each of which is left out once."""
