"""What is wrong with a table, in lines that name the file, the column, the row and the fix.

As text, a fault holds no cell of the table: texts of exceptions end in logs. Some cells are kept beside it for the
operator's own terminal (`shown`), never the id of a person or record.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sealscore.shared.text.foreign import plain

LINES_SHOWN = 20
_WORDS = 2000  # of a fault: a plan's levels and names may be in it
ROWS_SHOWN = 5


@dataclass(frozen=True)
class Problem:
    """One kind of fault in one column.

    `rows` are numbers as a person counts them (lines of a CSV file, where the header is line 1; rows of a Parquet
    file from 1), in ascending order; `unit` says which of the two they are. `value` is the class of the offending
    value, such as "text where a number is needed"; `found` is what stands there, for the operator's terminal alone.
    `code` names the kind of a fault of reading, as docs/partner.md lists them; other faults have none.
    """

    file: str
    value: str
    fix: str
    column: str | None = None
    rows: tuple[int, ...] = ()
    unit: str = "row"
    found: str = field(default="", repr=False)
    code: str = ""

    def __str__(self) -> str:
        return f"{self._place()}: {plain(self.value, _WORDS)}; fix: {plain(self.fix, _WORDS)}"

    @property
    def shown(self) -> str:
        """The same with what stands in the table: for a terminal, never for a log or a file."""
        found = f": {plain(self.found)}" if self.found else ""
        return f"{self._place()}: {plain(self.value, _WORDS)}{found}; fix: {plain(self.fix, _WORDS)}"

    def _place(self) -> str:
        place = plain(self.file)
        if self.column is not None:
            place += f", column {self.column!r}"
        if self.rows:
            shown = ", ".join(str(row) for row in self.rows[:ROWS_SHOWN])
            more = len(self.rows) - ROWS_SHOWN
            place += f", {self.unit}{'s' if len(self.rows) > 1 else ''} {shown}"
            place += f" and {more} more" if more > 0 else ""
        return place


class DataError(ValueError):
    """A table that cannot be used; `problems` holds everything found, the message the first 20 of it."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(self.lines))

    @property
    def lines(self) -> list[str]:
        """The message, line by line."""
        return _some([str(problem) for problem in self.problems])

    @property
    def shown(self) -> str:
        """The message with what stands in the table: for a terminal, never for a log or a file."""
        return "\n".join(_some([problem.shown for problem in self.problems]))


def _some(told: list[str]) -> list[str]:
    more = [f"and {len(told) - LINES_SHOWN} more problems of {len(told)}"] if len(told) > LINES_SHOWN else []
    return [*told[:LINES_SHOWN], *more]


def why(error: Exception) -> str:
    """What the system says of a file; words of a library that reads tables may quote a cell, and are not told."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
