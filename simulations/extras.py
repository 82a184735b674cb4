"""What only some installations have, asked for when it is needed."""

from __future__ import annotations

import importlib
from types import ModuleType

EXTRAS = {
    "matplotlib": "notebooks",
    "mlflow": "mlflow",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "tensorboardX": "tensorboard",
}
"""The extra that brings a package which no role needs."""


class NoExtra(ImportError):
    """A package that is not installed; the message says which extra brings it."""


def optional(module: str) -> ModuleType:
    """A module of a package that an extra brings.

    Raises:
        NoExtra: it is not installed.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        extra = EXTRAS[package]
        told = f"{package} is not installed; pip install 'sealscore[{extra}]'"
        raise NoExtra(told, name=package) from None
