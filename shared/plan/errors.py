"""Turn a failed validation into lines that name the key, the value and what is allowed."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from sealscore.shared.text.foreign import plain

# More lines than an operator reads at once, and fewer than take time to make.
_MOST = 50
_SHOWN = 80


class PlanError(ValueError):
    """A plan that cannot be used; `problems` holds one line for each thing that is wrong."""

    def __init__(self, source: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.source = source
        self.problems = problems

    @property
    def lines(self) -> list[str]:
        """The message, line by line."""
        return [f"{self.source}: {problem}" for problem in self.problems]


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line a problem: `privacy.epsilon = -1.0: input should be greater than 0`."""
    found = error.errors(include_url=False)
    places = [detail["loc"] for detail in found]
    # pydantic counts only the good items of a list: that it is "too short" is no news beside the faulty item.
    told = [
        detail
        for detail in found
        if detail["type"] != "too_short"
        or not any(len(place) > len(detail["loc"]) and place[: len(detail["loc"])] == detail["loc"] for place in places)
    ]
    lines = [_line(dict(detail), model) for detail in told[:_MOST]]
    return lines + [f"and {len(told) - _MOST} problems more"] * (len(told) > _MOST)


def _line(detail: dict[str, Any], model: type[BaseModel]) -> str:
    path = detail["loc"]
    key = ".".join(plain(step, _SHOWN) for step in path if step not in ("numeric", "categorical", "derived", "[key]"))
    message = plain(detail["msg"].removeprefix("Value error, "))
    message = message[:1].lower() + message[1:]
    if detail["type"] == "extra_forbidden":
        known = _known_keys(path[:-1], model)
        close = difflib.get_close_matches(str(path[-1])[:_SHOWN], known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"{key}: unknown key; {hint}allowed: {', '.join(known)}"
    if path == ("version",) and isinstance(detail["input"], int) and 1 < detail["input"] < 10**6:
        return f"{key} = {detail['input']}: of a newer form than this Sealscore reads; install the newest, or write 1"
    if detail["type"] == "union_tag_invalid":
        return f"{key}: kind must be 'numeric' or 'categorical'"
    if detail["type"] == "missing":
        return f"{key}: missing; the plan needs it"
    if detail["type"] == "value_error" and isinstance(detail["input"], dict | BaseModel):
        return f"{key}: {message}" if key else message
    return f"{key} = {_shown(detail['input'])}: {message}"


def _shown(value: Any) -> str:
    try:
        return plain(repr(value), _SHOWN)
    except (ValueError, RecursionError):  # a number of more digits than Python writes, or lists in lists
        return f"a {type(value).__name__} that is too large"


def _known_keys(path: Sequence[Any], model: type[BaseModel]) -> list[str]:
    for step in path:
        if isinstance(step, str) and step in model.model_fields:
            inner = _model_in(model.model_fields[step].annotation, None)
        else:
            inner = model
        if inner is None:
            break
        model = inner
        if isinstance(step, str) and step in ("numeric", "categorical"):
            model = _variant(step) or model
    return sorted(model.model_fields)


def _variant(kind: str) -> type[BaseModel] | None:
    from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature

    variants: dict[str, type[BaseModel]] = {"numeric": NumericFeature, "categorical": CategoricalFeature}
    return variants.get(kind)


def _model_in(annotation: Any, default: type[BaseModel] | None) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.GenericAlias | types.UnionType) or typing.get_origin(annotation):
        for part in typing.get_args(annotation):
            if (found := _model_in(part, None)) is not None:
                return found
    return default
