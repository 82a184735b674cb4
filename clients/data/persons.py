"""What a person is in this data set: one own column in one normal form, whatever a plan says.

Label coins, told bits and splits are kept by that string for the life of the data set, so a plan that reads persons
from another column, or writes them in another form, would have every person a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import TableSchema
from sealscore.shared.plan.settings import Form


@dataclass(frozen=True)
class Persons:
    """The own column that names the person and the normal form of its cells, with the own names of a plan's columns."""

    column: str
    form: Form
    columns: Mapping[str, str] = field(default_factory=dict)

    def problems(self, table: TableSchema, form: str) -> list[tuple[str, str]]:
        """Why a plan's table cannot be read here: (what is wrong, the fix) for each of column and form."""
        name = table.person_column
        own = self.columns.get(name, name)
        found = []
        if own != self.column:
            key = "table.person" if table.person else "table.id"
            found.append(
                (
                    f"the plan names persons by {name!r} ({key}), which is the own column {own!r}, and this data set "
                    f"by {self.column!r} (identifier in node.toml) for its whole life",
                    "map it under [data.columns] if it is the same column, or ask for a plan that names this one",
                )
            )
        if form != self.form:
            found.append(
                (
                    f"the plan names persons in the normal form {form!r} (alignment.identifier), and this data set in "
                    f"{self.form!r} (form in node.toml) for its whole life",
                    "ask for a plan with that form",
                )
            )
        return found

    def disagreeing(self, plan: Plan, party: str) -> list[str]:
        """The same of the table that a plan has for a party, a line each."""
        table = plan.groups[plan.party(party).group].table
        return [f"{what}; fix: {fix}" for what, fix in self.problems(table, plan.alignment.identifier)]
