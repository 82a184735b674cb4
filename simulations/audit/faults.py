"""The faults that an audit can put in on purpose, by name; what each does is in `audit.breaks`."""

from __future__ import annotations

from enum import Enum


class Break(Enum):
    """One fault. The first four are faults of the parties, the last is one of the claim."""

    NOISE_OFF = "noise-off"
    NOISE_TENTH = "noise-tenth"
    CLIP_OFF = "clip-off"
    FIXED_BATCHES = "fixed-batches"
    ONE_ROUND_CLAIM = "one-round-claim"
