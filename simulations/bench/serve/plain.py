"""A plain service of scores, as it is commonly written: FastAPI, a pydantic model, XGBoost, SHAP contributions, no log.

python -m sealscore.simulations.bench.serve.plain MODEL PORT
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
import xgboost
from fastapi import FastAPI
from pydantic import BaseModel, create_model

MOST_REASONS = 4


def application(names: list[str]) -> type[BaseModel]:
    """The body: the same keys as the scorer's, each feature a number or null."""
    fields: dict[str, Any] = dict.fromkeys(names, (float | None, None))
    features = create_model("Features", **fields)
    given: dict[str, Any] = dict.fromkeys(("application_id", "as_of", "person", "product", "purpose"), (str, ...))
    given |= {"features": (features, ...), "tokens": (list[str], [])}
    return create_model("PlainApplication", **given)


def service(model: Path) -> FastAPI:
    """The application of one model."""
    names = tomllib.loads(model.with_suffix(".toml").read_text("utf-8"))["names"]
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(model)
    app = FastAPI()

    async def score(body: Any) -> dict[str, Any]:
        given = body.features.model_dump()
        row = np.array([[np.nan if given[name] is None else given[name] for name in names]], dtype=np.float32)
        rows = xgboost.DMatrix(row, nthread=1)
        pd = float(booster.predict(rows)[0])
        moved = booster.predict(rows, pred_contribs=True)[0][:-1]
        worst = [int(place) for place in np.argsort(-moved)[:MOST_REASONS] if moved[place] > 0]
        reasons = [{"code": names[place], "points": float(moved[place])} for place in worst]
        return {"application_id": body.application_id, "pd": round(pd, 6), "reasons": reasons}

    score.__annotations__["body"] = application(names)
    app.post("/score")(score)
    app.get("/healthz")(lambda: {"status": "running"})
    return app


if __name__ == "__main__":
    uvicorn.run(service(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
