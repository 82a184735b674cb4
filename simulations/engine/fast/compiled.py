"""Keystreams and noise of many parties, compiled by numba: the extra `fast`. `kernels` has what they compute."""

from __future__ import annotations

import numpy as np
from numba import njit, uint32

# Blocks of a keystream that are computed side by side: their state fits a core's first cache.
_LANES = 512
_CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)


@njit(cache=True)
def _quarter(a, b, c, d):  # type: ignore[no-untyped-def]
    """A quarter round of RFC 8439, section 2.1, on each lane; casts keep numba from computing in 64 bits."""
    for lane in range(a.shape[0]):
        w, x, y, z = a[lane], b[lane], c[lane], d[lane]
        w = uint32(w + x)
        z = uint32(z ^ w)
        z = uint32(uint32(z << uint32(16)) | uint32(z >> uint32(16)))
        y = uint32(y + z)
        x = uint32(x ^ y)
        x = uint32(uint32(x << uint32(12)) | uint32(x >> uint32(20)))
        w = uint32(w + x)
        z = uint32(z ^ w)
        z = uint32(uint32(z << uint32(8)) | uint32(z >> uint32(24)))
        y = uint32(y + z)
        x = uint32(x ^ y)
        x = uint32(uint32(x << uint32(7)) | uint32(x >> uint32(25)))
        a[lane], b[lane], c[lane], d[lane] = w, x, y, z


@njit(cache=True)
def keystreams(keys, words):  # type: ignore[no-untyped-def]
    """ChaCha20 (RFC 8439, section 2.3) from counter and nonce 0: keys uint32 [n, 8] -> uint32 [n, at least words]."""
    blocks = (words + 15) // 16
    found = np.empty((keys.shape[0], blocks * 16), np.uint32)
    first, x = np.zeros((16, _LANES), np.uint32), np.empty((16, _LANES), np.uint32)
    total = keys.shape[0] * blocks
    for begin in range(0, total, _LANES):
        for lane in range(_LANES):
            place = min(begin + lane, total - 1)
            for word in range(4):
                first[word, lane] = _CONSTANTS[word]
            for word in range(8):
                first[4 + word, lane] = keys[place // blocks, word]
            first[12, lane] = place % blocks
        x[:] = first
        for _ in range(10):
            _quarter(x[0], x[4], x[8], x[12])
            _quarter(x[1], x[5], x[9], x[13])
            _quarter(x[2], x[6], x[10], x[14])
            _quarter(x[3], x[7], x[11], x[15])
            _quarter(x[0], x[5], x[10], x[15])
            _quarter(x[1], x[6], x[11], x[12])
            _quarter(x[2], x[7], x[8], x[13])
            _quarter(x[3], x[4], x[9], x[14])
        for lane in range(min(_LANES, total - begin)):
            row, at = (begin + lane) // blocks, (begin + lane) % blocks * 16
            for word in range(16):
                found[row, at + word] = x[word, lane] + first[word, lane]
    return found


@njit(cache=True)
def add_noise(words, table, half, offset_bits, exponent, weight, sure, size, total):  # type: ignore[no-untyped-def]
    """Add each row's first `size` accepted draws to `total`; False for rows that it leaves to the sampler.

    A row is left where a word is within reach of the rounding of its acceptance probability, or the words do not
    suffice. `sure` is a bound by block below which every word is accepted.
    """
    done = np.zeros(words.shape[0], np.bool_)
    draws = np.empty(size, np.int64)
    low_offset = np.uint64((1 << offset_bits) - 1)
    for row in range(words.shape[0]):
        found = 0
        for at in range(words.shape[1]):
            word = words[row, at]
            block = np.int64(table[np.int64(word >> np.uint64(48))])
            x = ((block - half) << offset_bits) + np.int64((word >> np.uint64(24)) & low_offset)
            u = np.float64(word & np.uint64(0xFFFFFF))
            if u >= sure[block]:
                gap = u - np.exp(np.float64(x) * np.float64(x) * exponent) * weight[block]
                if gap > 0.6:
                    continue
                if gap > -1.6:
                    break
            draws[found] = x
            found += 1
            if found == size:
                break
        if found == size:
            done[row] = True
            for at in range(size):
                total[at] += draws[at]
    return done
