"""With every defence on, the model is bit for bit the one of plain sums without a seal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import LENDERS, RUN, small_plan, small_records
from defences import Defences, Scene
from doubles import Quiet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vertical import vertical_plan, vertical_records

from sealscore.server.run.coordinator import Coordinator, RunOutcome
from sealscore.shared.crypto.aggregation import PlainSum


def outcome(scene: Scene) -> RunOutcome:
    return Coordinator(scene.plan, RUN, scene.server, PlainSum(), Quiet(), patience=1.0).run()


def files(found: RunOutcome, folder: Path) -> dict[str, bytes]:
    """All that a run publishes, as bytes."""
    models = {"model": found.model} | found.towers
    for name, model in models.items():
        model.save(folder / name)
    kept = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return kept | {name: table.tobytes() for name, table in found.tables.tables.items()}


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), sizes=st.tuples(*[st.integers(5, 700)] * 3), hidden=st.sampled_from([0, 3]))
def test_lenders(
    defences: Defences, tmp_path_factory: pytest.TempPathFactory, seed: int, sizes: tuple[int, ...], hidden: int
):
    plan = small_plan(training__rounds=2, model__hidden=hidden)
    records = {
        name: small_records(n, seed=seed + place) for place, (name, n) in enumerate(zip(LENDERS, sizes, strict=True))
    }
    sealed = files(outcome(defences.scene(plan, records)), tmp_path_factory.mktemp("sealed"))
    with defences.without("masks", "seals") as weak:
        plain = files(outcome(weak.scene(plan, records)), tmp_path_factory.mktemp("plain"))
    assert sealed == plain


@pytest.mark.parametrize("method", ["exact", "private"])
def test_lenders_and_a_platform(defences: Defences, tmp_path: Path, method: str):
    plan = vertical_plan(training__rounds=2, alignment__method=method)
    records = vertical_records(plan)
    scene = defences.scene(plan, records)
    sealed = outcome(scene)
    with defences.without("masks", "seals") as weak:
        plain = outcome(weak.scene(plan, records))
    assert files(sealed, tmp_path / "sealed") == files(plain, tmp_path / "plain")
    assert np.abs(sealed.model.weights.vector).sum() > 0
    assert scene.told == []
