"""What approved labels do: models of granted and of all applications, judged on persons who taught neither."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sealscore.simulations.scoring import approved_only
from sealscore.simulations.scoring.approved_only import FEATURES, JUDGED, MODELS, applications_of, figures, run, show


@pytest.mark.slow
def test_models_of_a_small_world_are_judged_on_other_persons_by_true_outcomes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    of = applications_of(2500, 3)
    assert 0.4 < of.approved.mean() < 0.9
    assert of.test.any()
    # Declined ones have features and outcomes, too.
    declined = ~of.approved
    assert np.isfinite(of.columns["term_months"][declined]).all()
    assert of.bad[declined & of.test].mean() > of.bad[of.approved & of.test].mean()
    found = figures(of, 3, None)
    assert found["test"]["approved"] + found["test"]["declined"] == found["test"]["all applicants"]
    for name in FEATURES:
        assert found[name][MODELS[0]]["loans"] == found[name][MODELS[1]]["loans"] < found[name][MODELS[2]]["loans"]
        assert all(0.6 < found[name][model]["all applicants"]["auc"] < 0.95 for model in MODELS)
        # Who never saw the declined predicts too few of their bad loans.
        granted, everybody = (found[name][model]["declined"]["mean_pd"] for model in (MODELS[0], MODELS[2]))
        assert granted < everybody

    monkeypatch.setattr(approved_only, "applications_of", lambda creators, seed: of)
    result = run(2500, range(2), None)
    assert result[FEATURES[0]]["auc lost"][JUDGED[0]]["mean"] == pytest.approx(
        found[FEATURES[0]][MODELS[1]][JUDGED[0]]["auc"] - found[FEATURES[0]][MODELS[0]][JUDGED[0]]["auc"], abs=0.02
    )
    assert show(result).count("\n") > 10
    assert approved_only.main(["--creators", "2500", "--seeds", "1", "--epsilon", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == 1
