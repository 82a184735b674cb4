"""TOML files, and one kind of error for all that can be wrong with one: it names the file, the line and the fix."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sealscore.shared.plan.bounds import MAX_TEXT, TooLarge, read_toml
from sealscore.shared.plan.errors import PlanError, explain

_Model = TypeVar("_Model", bound=BaseModel)
_MOST_BYTES = 4 * MAX_TEXT  # of MAX_TEXT characters in UTF-8


class TomlError(PlanError):
    """A TOML file that cannot be read: what is wrong and in which line, and what to do about it."""

    def __init__(self, source: str, wrong: str, fix: str) -> None:
        super().__init__(source, [f"{wrong}; {fix}"])
        self.wrong, self.fix = wrong, fix


def load_toml(path: Path, fix: str = "name a file that can be read") -> dict[str, Any]:
    """The content of a TOML file as plain data, within the bounds of `read_toml`.

    Args:
        path: the file, in UTF-8.
        fix: what to do where it is not there.

    Raises:
        TomlError: it cannot be read, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise TomlError(str(path), f"cannot be read: {error}", fix) from None
    if len(data) > _MOST_BYTES:
        raise TomlError(str(path), f"has more than {_MOST_BYTES} bytes", "name a smaller file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TomlError(str(path), f"cannot be read: line {line} is not UTF-8", "save the file as UTF-8") from None
    return parse_toml(io.StringIO(text, newline=None).getvalue(), str(path))


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """A TOML text as plain data, within the bounds of `read_toml`; TomlError, naming `source`, where it is none."""
    try:
        return read_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(source, f"not valid TOML: {error}", "correct it there") from None
    except TooLarge as error:
        raise TomlError(source, f"not valid TOML: {error}", "shorten it") from None


def load_as(model: type[_Model], path: Path, fix: str = "name a file that can be read") -> _Model:
    """The content of a TOML file as a model.

    Args:
        model: its keys and values.
        path: the file, in UTF-8.
        fix: what to do where it is not there.

    Raises:
        PlanError: it cannot be read (TomlError), or has keys or values that are not allowed, one line for each.
    """
    try:
        return model.model_validate(load_toml(path, fix))
    except ValidationError as error:
        raise PlanError(str(path), explain(error, model)) from None
