"""A server that sends weights of its own choice in place of those that training gave: more of people shows in the sums.

Honest weights start at zero and stay small, so a record whose features moved a little moves a sum by little. The
weights here stand at the limit: at random, on the units of one feature, or as a bias alone, under which everybody of
one outcome has the largest gradient that there is. A claim holds at any weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.messages.codec import digest
from sealscore.shared.messages.messages import Publish, SumRequest
from sealscore.shared.model.additive.codes import Codes
from sealscore.shared.model.build import coding_of, initial_tower
from sealscore.shared.model.tower import parameter_count
from sealscore.shared.model.weights import WEIGHT_LIMIT
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.neighbours.replay import RecordedRequest
from sealscore.simulations.world.seeding import generator

HONEST = 4
"""So many rounds of a tower's training keep the weights of the run, the first and the last among them."""
BIASES = np.linspace(-1.0, 1.0, 9) * WEIGHT_LIMIT


def crafted(plan: Plan, asked: Sequence[RecordedRequest], rounds: int | None = None) -> list[RecordedRequest]:
    """The requests with crafted weights in most rounds of training, of which at most `rounds` a tower are kept.

    Every other sum at weights is asked once more with crafted ones, where the budget has an attempt to spare.
    """
    phases = {phase.name: phase for phase in Mechanisms(plan).phases}
    bodies = {digest(one.request.body): one.request.body for one in asked if isinstance(one.request, Publish)}
    found: list[RecordedRequest] = []
    for one in asked:
        request = one.request
        if not isinstance(request, SumRequest) or not request.parts:
            found.append(one)
            continue
        phase, attempt = phases[request.header.phase], request.header.attempt

        def weights(
            number: int, phase: Phase = phase, request: SumRequest = request, parts: Mapping[str, str] = request.parts
        ) -> np.ndarray:
            if "codes" in parts:
                return _units(plan, phase, bodies[parts["bins"]], bodies[parts["codes"]], request.parameters, number)
            return _weights(plan, phase, bodies[parts["bins"]], number)

        if not phase.of.clips:
            found.append(one)
            if attempt < phase.attempts:
                found.append(_with(one.party, request, weights(0), attempt + 1))
            continue
        kept = _spread(phase.rounds, min(rounds or phase.rounds, phase.rounds))
        if request.header.round in kept:
            number = kept.index(request.header.round)
            honest = number + 1 in _spread(len(kept), min(HONEST, len(kept)))
            sent = request.parameters if honest else weights(number)
            found.append(_with(one.party, request, sent, attempt))
    return found


def _spread(rounds: int, most: int) -> list[int]:
    """`most` of the rounds 1 to `rounds`, the first and the last among them."""
    return sorted({int(round) for round in np.linspace(1, rounds, most).round()})


def _with(party: str, request: SumRequest, weights: np.ndarray, attempt: int) -> RecordedRequest:
    header = dataclasses.replace(request.header, attempt=attempt)
    return RecordedRequest(party, dataclasses.replace(request, header=header, parameters=weights))


def _weights(plan: Plan, phase: Phase, part: bytes, number: int) -> np.ndarray:
    """The crafted weights of that number, float64 [p]: the same for all parties of the phase."""
    binning = bin_rule(plan, phase.tower).read(part)
    units = coding_of(plan, phase.tower, binning).units
    random = generator(plan.seed, f"crafted weights {phase.name} {number}")
    weights = WEIGHT_LIMIT * random.choice([-1.0, 1.0], parameter_count(initial_tower(plan, phase.tower, binning)))
    bias = sum(place.stop - place.start for _, place in units)
    if number % 4:
        _, place = units[number % len(units)]
        signs, weights[:bias] = weights[place].copy(), 0.0
        if number % 4 < 3:
            # A thermometer's first unit alone tells nothing from something; all of them tell how much.
            weights[place] = [signs[0], *[0.0] * (len(signs) - 1)] if number % 4 == 1 else signs
            weights[bias] = random.choice(BIASES)
    return weights


def _units(plan: Plan, phase: Phase, bins: bytes, part: bytes, parameters: np.ndarray, number: int) -> np.ndarray:
    """The same of an additive model's weights; what follows them, the curve, stays."""
    codes = Codes.from_bytes(part, bin_rule(plan, phase.tower).read(bins).sizes)
    random = generator(plan.seed, f"crafted weights {phase.name} {number}")
    weights = WEIGHT_LIMIT * random.choice([-1.0, 1.0], codes.length)
    if number % 4:
        # One feature alone says all.
        signs, start = weights.copy(), 1
        weights[:] = 0.0
        for place, main in enumerate(codes.mains):
            end = start + main.shape[1]
            if place == number % len(codes.mains):
                weights[start:end] = signs[start:end]
            start = end
        weights[0] = random.choice(BIASES)
    return np.concatenate([weights, parameters[codes.length :]])
