"""Where the records and cells of a piece of CSV begin and end, and where it is no CSV.

Each kind of mark is a set of bits, one for each byte, 64 in a word: whether a byte lies within quotes is then the
parity of the bits before it, and a rule about neighbours is a shift by one. So the work is the same for a quote in
each cell as for none, and only where records end becomes positions.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

LONGEST_CELL = 131_072
"""Characters of a cell; a longer one is a quote that was never closed, or no cell of a table."""
_SPAN = LONGEST_CELL // 2  # bytes; a cell that is too long covers one aligned span of these at least
_COMMA, _QUOTE, _END, _RETURN = b',"\n\r'
_CACHE = 1 << 18  # bytes compared at a time
_WORD = np.dtype("<u8")
_ONE, _TOP = np.uint64(1), np.uint64(63)


class Parts:
    """The parts of a piece of CSV that begins where a record does; positions are bytes from 0."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._bytes = np.frombuffer(data, dtype=np.uint8)
        self._nothing = np.zeros(len(data) // 64 + 1, dtype=_WORD)
        self._nothing.setflags(write=False)
        self._quoted = b'"' in data
        self._every_end, commas, *quotes = self._marks(_END, _COMMA, *[_QUOTE] * self._quoted)
        self._quotes = quotes[0] if quotes else self._nothing
        self._inside = _parity(self._quotes) if self._quoted else self._nothing
        self._ends = self._every_end & ~self._inside
        self._borders = self._ends | (commas & ~self._inside)
        # How many cells end up to each word.
        self._counts = np.cumsum(np.bitwise_count(self._borders), dtype=np.int64)

    @cached_property
    def every_end(self) -> np.ndarray:
        """Where lines end, within quotes as well: int64 [n]."""
        return _places(self._every_end)

    @cached_property
    def ends(self) -> np.ndarray:
        """Where records end: int64 [n]."""
        return _places(self._ends) if self._quoted else self.every_end

    @property
    def starts(self) -> np.ndarray:
        """Where the records begin that `ends` ends."""
        return np.concatenate([[0], self.ends[:-1] + 1]).astype(np.int64)

    @property
    def cells(self) -> np.ndarray:
        """How many cells each record has."""
        word, bit = self.ends >> 6, (self.ends & 63).astype(_WORD)
        behind = np.bitwise_count(self._borders[word] >> bit).astype(np.int64) - 1
        return np.asarray(np.diff(self._counts[word] - behind, prepend=0))

    @property
    def blank(self) -> np.ndarray:
        """Which records are lines with nothing on them."""
        starts = self.starts
        length = self.ends - starts
        return np.asarray((length == 0) | ((length == 1) & (self._bytes[starts] == _RETURN)))

    @property
    def unclosed(self) -> bool:
        """Whether the last quote opens a cell that does not end."""
        return bool(self._inside[-1] >> _TOP)

    @property
    def last_quote(self) -> np.ndarray:
        """The last quote: int64 [1], or [0] where there is none."""
        return _places(self._quotes)[-1:]

    @property
    def quote_faults(self) -> np.ndarray:
        """The quotes that open where no cell begins, and those that close where none ends."""
        if not self._quoted:
            return np.zeros(0, dtype=np.int64)
        opening, closing = self._quotes & self._inside, self._quotes & ~self._inside
        # A quote beside a quote is one that is written twice.
        begun = _before(self._borders | self._quotes, first=True)
        wrong = closing & ~_after(self._borders | self._returns | self._quotes)
        last = len(self.data) - 1  # behind which the data is cut off: what stands there is not known
        wrong[last >> 6] &= ~(_ONE << np.uint64(last & 63))
        found = [_places(opening & ~begun)]
        if wrong.any():
            # Of a cell that closes in the wrong place the quote that opened it is the one to look at.
            found.append(_places(opening)[np.searchsorted(_places(closing), _places(wrong))])
        return np.sort(np.concatenate(found))

    @property
    def lone_returns(self) -> np.ndarray:
        """The carriage returns outside of quotes that stand before no line end."""
        lone = self._returns & ~self._inside
        return _places(lone & ~_after(self._every_end) if lone.any() else lone)

    @property
    def long_cells(self) -> np.ndarray:
        """Where cells end that have too many characters."""
        if np.diff(self._counts[_SPAN // 64 - 1 :: _SPAN // 64], prepend=0).all():
            return np.zeros(0, dtype=np.int64)
        borders = np.concatenate([[-1], _places(self._borders)])
        long = np.flatnonzero(np.diff(borders) - 1 > LONGEST_CELL)
        found = [
            end
            for start, end in zip(borders[long] + 1, borders[long + 1], strict=True)
            if len(self.data[start:end].decode("utf-8", "replace")) > LONGEST_CELL
        ]
        return np.array(found, dtype=np.int64)

    def lines(self, places: np.ndarray, first: int) -> tuple[int, ...]:
        """The lines of a file on which these bytes are, where the data begins on the line `first`."""
        return tuple(dict.fromkeys((first + np.searchsorted(self.every_end, places)).tolist()))

    def without(self, records: np.ndarray) -> bytes:
        """The data without some of its records: bool [records]."""
        kept = np.ones(len(self.data), dtype=bool)
        for start, end in zip(self.starts[records], self.ends[records], strict=True):
            kept[start : end + 1] = False
        return self._bytes[kept].tobytes()

    @cached_property
    def _returns(self) -> np.ndarray:
        return self._marks(_RETURN)[0] if b"\r" in self.data else self._nothing

    def _marks(self, *marks: int) -> list[np.ndarray]:
        found = [np.zeros_like(self._nothing) for _ in marks]
        packed = [words.view(np.uint8) for words in found]
        for at in range(0, len(self._bytes), _CACHE):
            span = self._bytes[at : at + _CACHE]
            for mark, bits in zip(marks, packed, strict=True):
                bits[at // 8 : (at + len(span) + 7) // 8] = np.packbits(span == mark, bitorder="little")
        return found


def is_quote_open(data: bytes, end: int) -> bool:
    """Whether the quotes in the first `end` bytes are odd in number."""
    if b'"' not in data:
        return False
    bytes_ = np.frombuffer(data, dtype=np.uint8)[:end]
    # bytes.count is four times as slow.
    spans = (bytes_[at : at + _CACHE] for at in range(0, end, _CACHE))
    return sum(int(np.count_nonzero(span == _QUOTE)) for span in spans) % 2 == 1


def _parity(words: np.ndarray) -> np.ndarray:
    """For each bit, whether the bits up to it, itself among them, are odd in number."""
    found = words
    for shift in (1, 2, 4, 8, 16, 32):
        found = found ^ (found << np.uint64(shift))
    odd = np.bitwise_xor.accumulate(found >> _TOP)
    found[1:] ^= -odd[:-1]  # all bits of a word, or none
    return found


def _before(words: np.ndarray, first: bool) -> np.ndarray:
    """For each bit the one before it, and for the first bit of all `first`."""
    found = words << _ONE
    found[1:] |= words[:-1] >> _TOP
    found[0] |= np.uint64(first)
    return found


def _after(words: np.ndarray) -> np.ndarray:
    """For each bit the one after it."""
    found = words >> _ONE
    found[:-1] |= words[1:] << _TOP
    return found


def _places(words: np.ndarray) -> np.ndarray:
    """The positions of the bits, in order: int64 [n]."""
    at = np.flatnonzero(words != 0)
    left, found = words[at], [np.zeros(0, dtype=np.int64)]
    while at.size:  # one bit of each word at a time: few words hold two line ends
        lowest = left & -left
        found.append(at * 64 + np.bitwise_count(lowest - _ONE))
        left ^= lowest
        at, left = at[left != 0], left[left != 0]
    return np.sort(np.concatenate(found))
