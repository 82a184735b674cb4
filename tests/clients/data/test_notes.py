"""What `check` says of data that pass: by codes, and without a cell outside the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sealscore.clients.data import ColumnMapping, load
from sealscore.clients.data.notes import Note, notes
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.settings import AUTO

Write = Callable[..., Path]


def found(path: Path, plan: Plan, **mapping: object) -> dict[str, Note]:
    own = ColumnMapping(path, **mapping)  # type: ignore[arg-type]
    return {note.code: note for note in notes(load(own, plan, "lender-1"), plan, "lender-1", {"lender-2"})}


def test_rows_that_share_a_person_or_are_left_out(csv: Write, plan: Plan) -> None:
    assert not found(csv(), plan).keys() & {"together", "left-out", "nominal"}
    same = found(csv({(line, "person"): "P001" for line in range(2, 6)}), plan)
    assert same["together"].words.startswith("4 of 40 rows")
    assert same["left-out"].words.startswith("3 rows")


def test_fewer_than_half_of_the_nominal_records(csv: Write, plan: Plan, good: tuple[str, ...]) -> None:
    assert "nominal" in found(csv(lines=good[:20]), plan)
    assert "nominal" not in found(csv(lines=good[:21]), plan)


def with_consents(good: tuple[str, ...], cell: str) -> tuple[str, ...]:
    return (good[0] + ",consent", *(f"{line},{cell}" for line in good[1:]))


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        ("federation; lender-3; lender-2", {"recipient"}),
        ("federation; lendr-3", {"recipient", "nobody"}),
        ("federation until 2020-01-01", {"recipient", "expired"}),
        ("", {"none"}),
    ],
)
def test_consents(csv: Write, plan: Plan, good: tuple[str, ...], cell: str, codes: set[str]) -> None:
    said = found(csv(lines=with_consents(good, cell)), plan, consent_column="consent")
    assert said.keys() & {"recipient", "nobody", "expired", "none"} == codes


def test_incomes_in_few_cells_of_a_wide_grid(csv: Write, plan: Plan) -> None:
    wide = plan.groups["lender"].table.model_copy(
        update={
            "features": tuple(
                feature.model_copy(update={"lower": 0.0, "upper": 1e6, "scale": None})
                if feature.name == "limit"
                else feature
                for feature in plan.groups["lender"].table.features
            )
        }
    )
    group = plan.groups["lender"].model_copy(update={"table": wide})
    other = plan.model_copy(update={"groups": {"lender": group}})
    path = csv({(line, "limit"): str(1000 + 200 * line) for line in range(2, 42)})
    assert "scale = " in found(path, other)["grid"].words
    assert "grid" not in found(csv(), plan)
    # The recipe's grid finds these quantiles by itself, and reads no scale.
    assert "grid" not in found(path, other.model_copy(update={"training": AUTO}))
    near = csv({(line, "limit"): str(500_000 + line) for line in range(2, 42)})
    assert "grid" in found(near, other)
    said = found(near, other.model_copy(update={"training": AUTO}))["grid"].words
    assert "scale" not in said
    assert "edges" in said


def test_two_numbers_for_no_value_in_one_bin(csv: Write, plan: Plan) -> None:
    table = plan.groups["lender"].table
    features = tuple(
        feature.model_copy(update={"lower": -10000.0}) if feature.name == "limit" else feature
        for feature in table.features
    )
    group = plan.groups["lender"].model_copy(update={"table": table.model_copy(update={"features": features})})
    other = plan.model_copy(update={"groups": {"lender": group}})
    words = {line: "-9999" if line % 2 else "-9998" for line in range(2, 12)}
    path = csv({(line, "limit"): word for line, word in words.items()})
    note = found(path, other)["sentinel"]
    assert "[-9999, -9998]" in note.shown
    assert "9999" not in note.words
    assert "in one bin" in note.words
    mapped = {"missing_values": {"limit": [-9999.0, -9998.0]}}
    assert "sentinel" not in found(path, other, **mapped)
    records = load(ColumnMapping(path, **mapped), plan, "lender-1").records
    assert int(np.isnan(records.columns["limit"]).sum()) == len(words)
