"""The text of a CSV file in UTF-8, by pieces that end with a line, whichever encoding and line ends it is stored in."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import BinaryIO, Protocol

from sealscore.clients.data.sources.file_kinds import AS_CSV, PARQUET_MARK, refusal

_UTF8_MARK = codecs.BOM_UTF8
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_HEAD = 200  # bytes, by which an encoding shows
PIECE = 1 << 20  # bytes decoded at a time
TAIL = 1 << 16  # bytes in which a line end is sought; most lines are shorter


class CsvText(Protocol):
    """Bytes in UTF-8 without a mark of it, whose lines end in LF or CR LF, from 0 on."""

    def at(self, start: int, size: int) -> bytes:
        """`size` bytes from `start`, fewer at the end of the text."""
        ...

    def drop(self, end: int) -> None:
        """Bytes before `end` are asked for no more."""
        ...


def csv_text(path: Path, file: BinaryIO, block: int) -> CsvText:
    """The text of an open file; in lines that all end in CR, as old programs on a Mac write them, they end in LF.

    Its first `block` bytes tell which it is.

    Raises:
        DataError: it is Parquet, or UTF-16 without its mark.
    """
    head = file.read(_HEAD)
    if head.startswith(PARQUET_MARK):
        raise refusal(path, "other-kind", "the file is Parquet, whatever its name says", "name it .parquet")
    found: CsvText
    if encoding := _UTF16.get(head[:2]):
        found = _Utf16(path, file, encoding)
    elif head.count(b"\0") > len(head) // 3:  # every second byte of a Western script
        value = "the file is UTF-16 without the mark that says so"
        raise refusal(path, "encoding", value, AS_CSV)
    else:
        found = _Utf8(file, len(_UTF8_MARK) if head.startswith(_UTF8_MARK) else 0)
    first = found.at(0, block)
    return _Returns(found) if b"\n" not in first and b"\r" in first else found


def whole_lines(text: CsvText, start: int, size: int) -> bytes:
    """The lines that are whole within `size` bytes from `start`, or all of these where no line is.

    The last line of the text may end without a mark of it; one is added.
    """
    tail = min(size, TAIL)
    last = text.at(start + size - tail, tail)
    data = text.at(start, size - tail + (last.rfind(b"\n") + 1 or tail))
    return data + b"\n" if len(last) < tail and data and not data.endswith(b"\n") else data


class _Utf8:
    def __init__(self, file: BinaryIO, skipped: int) -> None:
        self._file, self._skipped = file, skipped

    def at(self, start: int, size: int) -> bytes:
        self._file.seek(self._skipped + start)
        return self._file.read(size)

    def drop(self, end: int) -> None:
        """They are in no memory."""


class _Utf16:
    """Decoded as far as it was asked for; of what lies behind, nothing is kept."""

    def __init__(self, path: Path, file: BinaryIO, encoding: str) -> None:
        self._path, self._file = path, file
        self._decoder = codecs.getincrementaldecoder(encoding)()
        file.seek(2)
        self._start, self._kept, self._ended = 0, b"", False

    def at(self, start: int, size: int) -> bytes:
        pieces, known = [self._kept], self._start + len(self._kept)
        while known < start + size and not self._ended:
            pieces.append(self._more(PIECE))
            known += len(pieces[-1])
        self._kept = b"".join(pieces)
        return self._kept[start - self._start : start - self._start + size]

    def drop(self, end: int) -> None:
        self._kept, self._start = self._kept[end - self._start :], end

    def _more(self, size: int) -> bytes:
        data = self._file.read(size)
        self._ended = not data
        try:
            return self._decoder.decode(data, final=self._ended).encode("utf-8")
        except UnicodeDecodeError:
            value = "the file has the mark of UTF-16, and holds bytes that are none"
            raise refusal(self._path, "encoding", value, AS_CSV) from None


class _Returns:
    """A text whose lines end in CR alone, with LF in their place."""

    def __init__(self, text: CsvText) -> None:
        self._text = text

    def at(self, start: int, size: int) -> bytes:
        return self._text.at(start, size).replace(b"\r", b"\n")

    def drop(self, end: int) -> None:
        self._text.drop(end)
