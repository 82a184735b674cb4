"""What each fault does to the parties, or to the claim."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import numpy as np
import torch

from sealscore.shared.dp.events import SampledGaussian
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.simulations.audit.faults import Break

Places = TypeVar("Places", np.ndarray, torch.Tensor)


# No gradient of a canary comes near it.
NO_CLIP = 1e12


def broken_mechanism(fault: Break | None, mechanism: Mechanism) -> Mechanism:
    """The mechanism that parties and server use: with the noise that the fault leaves."""
    left = {Break.NOISE_OFF: 0.0, Break.NOISE_TENTH: 0.1}
    if fault not in left:
        return mechanism
    return dataclasses.replace(mechanism, noise_std=mechanism.noise_std * left[fault])


def broken_clip(fault: Break | None, clip_norm: float) -> float:
    """The norm to which the audited party clips."""
    return NO_CLIP if fault is Break.CLIP_OFF else clip_norm


def claimed_event(fault: Break | None, event: SampledGaussian) -> SampledGaussian:
    """What is claimed of a release that did happen as `event`."""
    return event.model_copy(update={"count": 1}) if fault is Break.ONE_ROUND_CLAIM else event


def batches(fault: Break | None, sample_rate: float) -> int | None:
    """How many batches are cut once and taken in turn, in place of a fresh Poisson sample; None where none are.

    The batches follow from a record's place in the table, so whoever knows the table knows them.
    """
    return max(1, round(1 / sample_rate)) if fault is Break.FIXED_BATCHES else None


def in_turn(places: Places, of: int, round: int) -> Places:
    """Whether it is the batch of a place in the table that is taken in a round, counted from 1."""
    turn: Places = places % of == (round - 1) % of
    return turn
