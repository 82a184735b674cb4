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
_IS_COMMA, _IS_END, _IS_QUOTE, _IS_RETURN = ((np.equal, mark) for mark in (_COMMA, _END, _QUOTE, _RETURN))
_LOW = (np.less, _RETURN + 1)  # for up to a return, which takes half as long again
_CACHE = 1 << 18  # bytes compared at a time
_HEAD = 1 << 12  # bytes, by which plain data show
_SHORT = 8  # bytes; of shorter lines there are too many to look at each
_WORD = np.dtype("<u8")
_ONE, _TWO, _BYTE, _TOP = (np.uint64(bits) for bits in (1, 2, 8, 63))
_GROUP = 512  # bytes of eight words, whose counts of bits are one word again
_EVEN_BYTES, _QUARTERS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)


class Parts:
    """The parts of a piece of CSV that begins where a record does; positions are bytes from 0."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._bytes = np.frombuffer(data, dtype=np.int8)
        self._nothing = np.zeros(len(data) // _GROUP * 8 + 8, dtype=_WORD)
        self._nothing.setflags(write=False)
        self._quoted = b'"' in data
        low, commas, *quotes = self._marks(
            _LOW if self._looks_plain else _IS_END, _IS_COMMA, *[_IS_QUOTE] * self._quoted
        )
        self.plain = self._looks_plain and np.bitwise_count(low).sum() <= len(data) // _SHORT
        """Whether all of it is known to be ASCII, without a zero and without a carriage return."""
        if self.plain:
            self.every_end = _places(low)
            """Where lines end, within quotes as well: int64 [n]."""
            self.plain = bool((self._bytes[self.every_end] == _END).all())
        if not self.plain:
            low = self._marks(_IS_END)[0] if self._looks_plain else low
            self.every_end = _places(low)
        self._every_end = low
        self._returned = not self.plain and b"\r" in data
        self._borders, self.ends = low | commas, self.every_end
        """Where records end: int64 [n]."""
        self._quotes = self._inside = self._nothing
        if self._quoted:
            self._quotes = quotes[0]
            self._inside = _parity(self._quotes)
            self._borders &= ~self._inside
            if (within := _at(self._inside, self.every_end)).any():
                self.ends = self.every_end[~within]
        # How many cells end in each word, by eights, and before each eight of them.
        self._counts = np.bitwise_count(self._borders).view(_WORD)
        self._before = np.concatenate([[0], np.cumsum(_total(self._counts).view(np.int64))])

    @property
    def whole(self) -> int:
        """How many bytes are whole records."""
        return int(self.ends[-1]) + 1 if self.ends.size else 0

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the records begin that `ends` ends."""
        return np.concatenate([[0], self.ends[:-1] + 1]).astype(np.int64)

    @cached_property
    def cells(self) -> np.ndarray:
        """How many cells each record has."""
        word = self.ends >> 6
        eight = word >> 3
        earlier = (_ONE << (word.view(_WORD) & np.uint64(7)) * _BYTE) - _ONE  # the counts of the words before this one
        upto = (_TWO << (self.ends.view(_WORD) & _TOP)) - _ONE
        ended = _total(self._counts[eight] & earlier).view(np.int64)
        ended += self._before[eight]
        ended += np.bitwise_count(self._borders[word] & upto)
        return np.asarray(np.diff(ended, prepend=0))

    @cached_property
    def blank(self) -> np.ndarray:
        """Which records are lines with nothing on them."""
        length = self.ends - self.starts
        found = length == 0
        if self._returned:
            found |= (length == 1) & (self._bytes[self.starts] == _RETURN)
        return np.asarray(found)

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
        # A quote beside a quote is one that is written twice.
        beside = self._borders | self._quotes
        begun, ended = _before(beside, first=True), _after(beside | self._returns if self._returned else beside)
        # The right ones: of those that open `begun`, and of those that close `ended`.
        begun ^= ended
        begun &= self._inside
        ended ^= begun
        faults = np.invert(ended, out=ended)
        faults &= self._quotes
        last = len(self.data) - 1  # behind which the data is cut off: what stands there is not known
        faults[last >> 6] &= self._inside[last >> 6] | ~(_ONE << np.uint64(last & 63))
        if not faults.any():
            return np.zeros(0, dtype=np.int64)
        # Of a cell that closes in the wrong place the quote that opened it is the one to look at.
        opening, closing = _places(self._quotes & self._inside), _places(self._quotes & ~self._inside)
        unended = np.searchsorted(closing, _places(faults & ~self._inside))
        return np.sort(np.concatenate([_places(faults & self._inside), opening[unended]]))

    @property
    def lone_returns(self) -> np.ndarray:
        """The carriage returns outside of quotes that stand before no line end."""
        if not self._returned:
            return np.zeros(0, dtype=np.int64)
        lone = self._returns & ~self._inside
        return _places(lone & ~_after(self._every_end) if lone.any() else lone)

    @property
    def long_cells(self) -> np.ndarray:
        """Where cells end that have too many characters."""
        if np.diff(self._before[:: _SPAN // _GROUP]).all():
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
        return bytes(self._bytes[kept])

    @cached_property
    def _returns(self) -> np.ndarray:
        return self._marks(_IS_RETURN)[0] if self._returned else self._nothing

    @cached_property
    def _looks_plain(self) -> bool:
        """Whether one look is likely to do for line ends, zeros, returns and all that is no ASCII.

        As signed numbers, bytes that are no ASCII are below 0, and none of plain text but a line end is up to a return.
        """
        head = self.data[:_HEAD]
        return head.isascii() and b"\r" not in head and b"\t" not in head

    def _marks(self, *marks: tuple[np.ufunc, int]) -> list[np.ndarray]:
        """For each of these comparisons the bytes that compare so."""
        found = [np.empty_like(self._nothing) for _ in marks]
        for words in found:
            words[len(self._bytes) // 64 :] = 0
        packed, same = [words.view(np.uint8) for words in found], np.empty(_CACHE, dtype=np.bool_)
        for at in range(0, len(self._bytes), _CACHE):
            span = self._bytes[at : at + _CACHE]
            compared = same[: len(span)]
            for (compare, mark), into in zip(marks, packed, strict=True):
                bits = np.packbits(compare(span, np.int8(mark), out=compared), bitorder="little")
                into[at // 8 : at // 8 + len(bits)] = bits
        return found


def _parity(words: np.ndarray) -> np.ndarray:
    """For each bit, whether the bits up to it, itself among them, are odd in number."""
    shifted = words << _ONE
    found = words ^ shifted
    for shift in (2, 4, 8, 16, 32):
        np.left_shift(found, np.uint64(shift), out=shifted)
        np.bitwise_xor(found, shifted, out=found)
    if len(words) > 1:
        # The words themselves are bits of fewer words; one after the other they would take as long as all the rest.
        odd = np.zeros(len(words) // 64 + 1, dtype=_WORD)
        bits = np.packbits(found.view(np.int64) < 0, bitorder="little")
        odd.view(np.uint8)[: len(bits)] = bits
        before = np.unpackbits(_parity(odd).view(np.uint8), count=len(words) - 1, bitorder="little")
        found[1:] ^= (-before).view(np.int8).astype(np.int64).view(_WORD)  # all bits of a word, or none
    return np.asarray(found)


def _total(counts: np.ndarray) -> np.ndarray:
    """The sums of eight counts of up to 64 each, which are the bytes of one word."""
    return (((counts & _EVEN_BYTES) + ((counts >> _BYTE) & _EVEN_BYTES)) * _QUARTERS) >> np.uint64(48)


def _at(words: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether the bits at these places are set: bool [places]."""
    return np.asarray((words[places >> 6] >> (places.view(_WORD) & _TOP)) & _ONE).astype(np.bool_)


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
    at = np.flatnonzero(words != 0)  # of words by themselves it takes twice as long
    left = words[at]
    lowest = left & -left
    first = at * 64 + np.bitwise_count(lowest - _ONE)
    if not (left ^ lowest).any():
        return np.asarray(first)
    bits = np.flatnonzero(np.unpackbits(left.view(np.uint8), bitorder="little").view(np.bool_))
    return np.asarray(bits + ((at - np.arange(len(at))) * 64)[bits >> 6])
