"""Write the tables of knobs of docs/world.md and docs/life.md from their configs: `python docs/world_page.py`.

Default, range and meaning of each knob come from the pydantic models. A page's own text stands outside the markers
and is left alone. Tests compare the pages with what this writes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sealscore.simulations.life import config as life
from sealscore.simulations.world import config

PAGES = tuple(Path(__file__).with_name(name) for name in ("world.md", "life.md"))
MODELS: tuple[type[BaseModel], ...] = (
    config.WorldConfig,
    config.Calendar,
    config.Latents,
    config.BusinessConfig,
    config.Economy,
    config.Platforms,
    config.Channel,
    config.Comments,
    config.Shop,
    config.Wallet,
    config.Bureau,
    config.Fraud,
    config.Lending,
    config.Product,
    config.LenderConfig,
)
LIFE_MODELS: tuple[type[BaseModel], ...] = (
    life.LifeConfig,
    life.Opening,
    life.LifeConsents,
    life.FraudWave,
    life.Shock,
    life.PlatformAway,
    life.LifeWatch,
    life.LifeRetraining,
    life.LifeProducts,
    life.Reviewers,
)
_MARKED = re.compile(r"(<!-- knobs of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_BOUNDS = (("minimum", "≥ "), ("exclusiveMinimum", "> "), ("maximum", "≤ "), ("exclusiveMaximum", "< "))


def refresh(text: str) -> str:
    """The page with every table between markers rewritten; KeyError for a marker that names no model."""
    models = {model.__name__: model for model in (*MODELS, *LIFE_MODELS)}
    return _MARKED.sub(lambda found: found[1] + table(models[found[2]]) + found[3], text)


def table(model: type[BaseModel]) -> str:
    """The knobs of a model as a Markdown table; those that are tables themselves are left to their own sections."""
    properties = model.model_json_schema()["properties"]
    lines = ["| knob | default | range | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel) and not isinstance(field.default, config.Product):
            continue
        lines.append(f"| `{name}` | {_default(field.default)} | {_range(properties[name])} | {field.description} |")
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, config.Product):
        return f"amount {value.amount:g}, terms {', '.join(map(str, value.terms))}"
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return ", ".join(f"`{entry.name}`" for entry in value)
    if isinstance(value, tuple):
        return ", ".join(f"{entry:g}" for entry in value)
    if repr(value) == "PydanticUndefined":
        return "required"
    if isinstance(value, str):
        return f"`{value}`"
    return value.isoformat() if hasattr(value, "isoformat") else _plain(value)


def _range(entry: dict[str, Any]) -> str:
    parts = [entry, *entry.get("anyOf", ())]
    bounds = [f"{sign}{_plain(part[key])}" for part in parts for key, sign in _BOUNDS if key in part]
    patterns = [f"`{part['pattern']}`" for part in parts if "pattern" in part]
    return ", ".join(bounds + patterns)


def _plain(value: float) -> str:
    return "2^63" if value == 2**63 else f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(refresh(page.read_text(encoding="utf-8")), encoding="utf-8")
