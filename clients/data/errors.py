"""What is wrong with a table, in lines that name the file, the column, the row and the mend.

These lines are for the partner's own console. They may show a value of a column, never the id of a person or record.
"""

from __future__ import annotations

from dataclasses import dataclass

LINES_SHOWN = 20
ROWS_SHOWN = 5


@dataclass(frozen=True)
class Problem:
    """One kind of fault in one column.

    `rows` are numbers as a person counts them (lines of a CSV file, where the header is line 1; rows of a Parquet
    file from 1), in ascending order; `unit` says which of the two they are. `value` is the class of the offending
    value, such as "text where a number is needed".
    """

    file: str
    value: str
    mend: str
    column: str | None = None
    rows: tuple[int, ...] = ()
    unit: str = "row"

    def __str__(self) -> str:
        place = self.file
        if self.column is not None:
            place += f", column {self.column!r}"
        if self.rows:
            shown = ", ".join(str(row) for row in self.rows[:ROWS_SHOWN])
            more = len(self.rows) - ROWS_SHOWN
            place += f", {self.unit}{'s' if len(self.rows) > 1 else ''} {shown}"
            place += f" and {more} more" if more > 0 else ""
        return f"{place}: {self.value}; mend: {self.mend}"


class DataError(ValueError):
    """A table that cannot be used; `problems` holds everything found, the message the first 20 of it."""

    def __init__(self, problems: list[Problem]) -> None:
        lines = [str(problem) for problem in problems[:LINES_SHOWN]]
        if len(problems) > LINES_SHOWN:
            lines.append(f"and {len(problems) - LINES_SHOWN} more problems of {len(problems)}")
        super().__init__("\n".join(lines))
        self.problems = problems
