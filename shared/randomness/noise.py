"""Discrete Gaussian noise on the integers.

N_Z(0, s^2) gives the integer x a probability proportional to exp(-x^2 / (2 s^2)) (Canonne, Kamath,
Steinke 2020, "The Discrete Gaussian for Differential Privacy"). Noise is drawn in units of the
integer grid that sums are rounded to, so no float ever carries it and every output that is possible
under one sum is possible under its neighbour.

`FastDiscreteGaussian` is the sampler of a run; tests compare it with OpenDP's exact one. Proofs of the
distances below: docs/proofs/noise.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sealscore.shared.randomness.streams import Stream

MAX_SCALE = 2.0**28
"""Largest scale in grid units: beyond it the offset in a block needs more than 24 bits."""

SUPPORT_SIGMAS = 12
"""The support ends at ceil(12 * scale); N_Z(0, scale^2) has less than 4e-33 of its mass outside."""

SMOOTHING_VARIANCE = 4.0
"""Grid units squared by which a discrete Gaussian exceeds the continuous one that it stands for."""

MIN_SHARED_SCALE = 3.0
"""Smallest scale of a share for which a sum of shares is one discrete Gaussian to within 1e-37."""

_TABLE_BITS = 16
_TABLE = 1 << _TABLE_BITS
_ACCEPT_BITS = 24
# Words that are judged at once: what is made of them stays in a core's cache.
TOGETHER = 1 << 15
_EXACT = Context(prec=60)


class NoiseSampler(Protocol):
    """Draws independent integers from N_Z(0, scale^2)."""

    def sample(self, stream: Stream, scale: float, size: int) -> NDArray[np.int64]:
        """`size` draws, shape (size,), each within [-support_bound(scale), support_bound(scale)]."""
        ...


def _checked(scale: float) -> float:
    scale = float(scale)
    if not (math.isfinite(scale) and 0.0 <= scale <= MAX_SCALE):
        raise ValueError(f"noise scale must be in [0, 2^28] grid units, got {scale}")
    return scale


def support_bound(scale: float) -> int:
    """The largest absolute value that a draw at this scale can have, in grid units.

    Raises:
        ValueError: `scale` is not in [0, 2^28].
    """
    return math.ceil(SUPPORT_SIGMAS * _checked(scale))


def tv_bound(scale: float) -> float:
    """Total variation distance of one draw from the ideal that it is accounted as, an upper bound.

    1e-32 covers the cut at 12 scales (3.6e-33), the comparison with an acceptance probability known to
    60 digits (below 1e-44) and the step from continuous to discrete noise of `grid_scale` (2e-34);
    docs/proofs/noise.md. By the triangle inequality k draws, adaptively chosen or not, are within
    k * tv_bound, which turns an (epsilon, delta) claim into delta + (1 + e^epsilon) * k * tv_bound.

    Raises:
        ValueError: `scale` is not in [0, 2^28].
    """
    return 0.0 if _checked(scale) == 0.0 else 1e-32


def grid_scale(std: float, shares: int = 1) -> float:
    """Scale at which each of `shares` independent parties must draw to stand for noise of `std`.

    sqrt((std^2 + 4) / shares), all in grid units: std is the standard deviation of the continuous
    Gaussian that the accountant knows, `shares` how many draws are certain to stay secret.

    Formal guarantee: for every integer mean a, a plus the sum of the shares is within 2e-34 in total
    variation of one fixed randomised function of a + N(0, std^2), so each figure of an accountant for
    continuous Gaussians, sampled, mixed or composed, holds for it (docs/proofs/noise.md, section 3,
    and docs/proofs/shared-noise.md). std = 0 gives 0 and no guarantee.

    Raises:
        ValueError: `std` is not finite or below 0; `shares` is below 1; the scale would pass 2^28; or a
            share among several would be below 3 grid units, where sums of discrete Gaussians are not
            discrete Gaussian enough: choose a finer grid.
    """
    if not (math.isfinite(std) and std >= 0.0):
        raise ValueError(f"a standard deviation must be finite and at least 0, got {std}")
    if shares < 1:
        raise ValueError(f"noise needs at least one share, got {shares}")
    if std == 0.0:
        return 0.0
    scale = _checked(math.sqrt((std * std + SMOOTHING_VARIANCE) / shares))
    if shares > 1 and scale < MIN_SHARED_SCALE:
        raise ValueError(
            f"noise of {std} grid units in {shares} shares gives each {scale:.3g} units, below "
            f"{MIN_SHARED_SCALE:g}: choose a finer grid"
        )
    return scale


@dataclass(frozen=True, slots=True, eq=False)
class NoiseProposal:
    """Tables for one scale: which block 16 random bits name, and what acceptance needs.

    The support is cut into blocks of 2^offset_bits integers; block i starts at (i - blocks / 2) *
    2^offset_bits. `entries[i]` of the 65,536 table entries name block i, so x in block i is proposed
    with probability entries[i] / 65536 / 2^offset_bits exactly, and is to be accepted with probability
    factor * f(x) / entries[i], f(x) = exp(-x^2 / (2 scale^2)), which is at most 1.
    """

    scale: float
    offset_bits: int
    factor: float
    table: NDArray[np.int16]
    entries: NDArray[np.int64]
    exponent: float
    weight: NDArray[np.float64]

    def approximate(self, block: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.float64]:
        """2^24 times the acceptance probability of x in `block`, in float64, same shape.

        Off by less than 2^-30 of itself, or 2^-30, whichever is larger; not cut at the support's end.
        """
        p = x.astype(np.float64)
        np.multiply(p, p, out=p)
        np.multiply(p, self.exponent, out=p)
        np.exp(p, out=p)
        return np.multiply(p, self.weight[block], out=p)

    def exact(self, block: int, x: int) -> Decimal:
        """The acceptance probability of x in `block` to 59 digits; 0 outside the support."""
        if abs(x) > support_bound(self.scale):
            return Decimal(0)
        scale = Decimal(self.scale)
        exponent = _EXACT.divide(Decimal(-x * x), _EXACT.multiply(_EXACT.multiply(scale, scale), Decimal(2)))
        value = _EXACT.multiply(_EXACT.exp(exponent), Decimal(self.factor))
        return _EXACT.divide(value, Decimal(int(self.entries[block])))


@lru_cache(maxsize=64)
def proposal(scale: float) -> NoiseProposal:
    """The tables for a scale in (0, 2^28]."""
    offset_bits = max(0, math.floor(math.log2(scale / 16))) if scale >= 16 else 0
    width = 1 << offset_bits
    half = support_bound(scale) // width + 1
    starts = np.arange(-half, half, dtype=np.int64) * width
    # f is largest in a block at the integer nearest to 0.
    nearest = np.where(starts >= 0, starts, starts + width - 1).astype(np.float64)
    # At scales below 0.007 the floor keeps the exponent finite; f(1) is 0 in float64 either way.
    exponent = max(-0.5 / scale / scale, -1e4)
    peak = np.exp(exponent * nearest * nearest)

    # The largest whole number of entries for the block at 0 with which all blocks, each with at least
    # one entry, fit the table. Whole, so that the last bit of an exp does not decide the table.
    low, high = 1, _TABLE
    while high - low > 1:
        middle = (low + high) // 2
        if np.maximum(1.0, np.ceil(peak * middle)).sum() <= _TABLE:
            low = middle
        else:
            high = middle
    entries = np.maximum(1.0, np.ceil(peak * low)).astype(np.int64)
    entries[half] += _TABLE - int(entries.sum())
    # entries >= low * peak, and peak is f to within 2^-40: the factor keeps low * f / entries below 1.
    factor = low * (1.0 - 2.0**-30)
    table = np.repeat(np.arange(2 * half, dtype=np.int16), entries)
    weight = factor / entries * 2.0**_ACCEPT_BITS
    return NoiseProposal(scale, offset_bits, factor, table, entries, exponent, weight)


class FastDiscreteGaussian:
    """Rejection sampling from a table of blocks, one 64-bit word a proposal.

    A word gives 16 bits for the block, b <= 24 bits for the offset in it and 24 bits u, the start of a
    uniform number U in [0, 1) that is to be compared with the acceptance probability p. If u / 2^24
    is further from p than float64 can err, u decides; in two of 2^24 cases it is not, and then U gets
    128 further bits and p is computed to 60 digits. So floats only choose how much work is done, never
    the outcome. Blocks are a sixteenth to a thirty-second of the scale wide: 97 of 100 proposals pass.

    Formal guarantees: |draw| <= support_bound(scale), always; each draw is within 4e-33 of
    N_Z(0, scale^2) in total variation, given uniform words. Draws, and the words that they consume,
    are a function of the stream, scale and size alone.
    """

    def sample(self, stream: Stream, scale: float, size: int) -> NDArray[np.int64]:
        """`size` draws, shape (size,). Scale 0 gives zeros and reads nothing from the stream.

        Raises:
            ValueError: `scale` is not in [0, 2^28] or `size` is negative.
        """
        scale = _checked(scale)
        if size < 0:
            raise ValueError(f"size must be at least 0, got {size}")
        if scale == 0.0 or size == 0:
            return np.zeros(size, dtype=np.int64)
        tables = proposal(scale)
        return _filled(stream, tables, _accepted(stream, tables, size), size)

    def total(self, streams: Sequence[Stream], scale: float, size: int) -> NDArray[np.int64]:
        """The sum of what `sample` draws from each of the streams, shape (size,): the same draws, taken together.

        Raises:
            ValueError: as `sample`.
        """
        scale = _checked(scale)
        if size < 0:
            raise ValueError(f"size must be at least 0, got {size}")
        found = np.zeros(size, dtype=np.int64)
        if scale == 0.0 or size == 0:
            return found
        tables, read = proposal(scale), proposals(size)
        together = max(1, TOGETHER // read)
        for start in range(0, len(streams), together):
            part = streams[start : start + together]
            words = np.concatenate([stream.words(read) for stream in part]).reshape(len(part), read)
            x, accepted = _judged(part, tables, words)
            there = accepted.sum(axis=1)
            for row in np.flatnonzero(there < size):
                found += _filled(part[int(row)], tables, x[row][accepted[row]], size)
                accepted[row] = False
            accepted &= np.cumsum(accepted, axis=1) <= size
            found += x[accepted].reshape(-1, size).sum(axis=0)
        return found


def _filled(stream: Stream, tables: NoiseProposal, draws: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The first `size` draws, from further words of the stream where there are not as many yet."""
    while len(draws) < size:
        draws = np.concatenate([draws, _accepted(stream, tables, size - len(draws))])
    return draws[:size].copy()


def _accepted(stream: Stream, tables: NoiseProposal, wanted: int) -> NDArray[np.int64]:
    """The accepted draws of one batch of proposals, in order; about 5 % more than `wanted`."""
    x, accepted = _judged([stream], tables, stream.words(proposals(wanted))[None])
    return x[accepted]


def proposals(wanted: int) -> int:
    """How many words are read at once for so many draws."""
    return wanted + wanted // 12 + 32


def _judged(
    streams: Sequence[Stream], tables: NoiseProposal, words: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What is proposed by words [streams, n], each row from its stream, and whether it is accepted, in that shape."""
    block = tables.table[(words >> np.uint64(64 - _TABLE_BITS)).view(np.int64)].astype(np.int64)
    offset = (words >> np.uint64(_ACCEPT_BITS)) & np.uint64((1 << tables.offset_bits) - 1)
    x = ((block - len(tables.entries) // 2) << tables.offset_bits) + offset.view(np.int64)
    u = (words & np.uint64((1 << _ACCEPT_BITS) - 1)).astype(np.float64)
    gap = u - tables.approximate(block, x)
    # 2^24 U is in [u, u + 1): below p for every U if gap < -1.5, above it for every U if gap > 0.5,
    # with half a unit to spare for the error of the approximation.
    accepted = gap < -1.5
    for row, i in zip(*np.nonzero(np.abs(gap + 0.5) <= 1.0), strict=True):
        high, low = (int(word) for word in streams[row].words(2))
        uniform = (int(u[row, i]) << 128) | (high << 64) | low
        exact = tables.exact(int(block[row, i]), int(x[row, i]))
        threshold = _EXACT.multiply(exact, Decimal(2 ** (_ACCEPT_BITS + 128)))
        accepted[row, i] = Decimal(uniform) < threshold
    return x, accepted
