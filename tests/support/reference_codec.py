"""The bytes of messages by another library, written down as plainly as they can be: what the codec is held against."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgpack
import numpy as np


def reference(message: Any) -> bytes:
    """The bytes of a message."""
    return bytes(msgpack.packb([type(message).__name__, _plain(message)], use_bin_type=True))


def reference_body(message: Any) -> bytes:
    """The bytes of a message without its type and header."""
    fields = {name: value for name, value in _plain(message).items() if name != "header"}
    return bytes(msgpack.packb(fields, use_bin_type=True))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        kind = {"f": "<f8", "i": "<i8", "u": "|u1"}[value.dtype.kind]
        return {"dtype": kind, "shape": list(value.shape), "data": value.astype(kind).tobytes()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    return value
