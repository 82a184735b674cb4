"""Typed payloads and their bytes: deterministic msgpack, arrays little-endian, unknown and missing fields refused.

A message is a frozen dataclass that is registered by its name. Equal messages have equal bytes, and bytes that
are not the encoding of the message that they decode to are refused, so a digest of the bytes identifies a message.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import typing
from dataclasses import dataclass
from typing import Any, TypeVar

import msgpack
import numpy as np

from sealscore.shared.messages.unpacking import UnpackError, unpack

_MAX_DIMENSIONS = 8
MAX_BYTES = 64 * 1024 * 1024
# A plan has at most 1,000 parties, and a message names each of them once or twice.
_MAX_ITEMS = 2**13


class MessageError(ValueError):
    """Bytes that are no message of the type that is expected here."""


@dataclass(frozen=True)
class Header:
    """Where a message belongs. `plan` is the plan's hash, `run` the server's random name of the run."""

    plan: str
    run: str
    phase: str
    round: int
    attempt: int
    sender: str
    recipient: str


@dataclass(frozen=True)
class Hello:
    """Server to party: are you there? Touches no data and costs nothing."""

    header: Header


@dataclass(frozen=True)
class Ready:
    """Party to server: I am there, under this plan."""

    header: Header


@dataclass(frozen=True)
class Join:
    """Server to party, signed: the run begins, or begins anew for somebody who was away.

    `certificate` is that of the server's key under the plan, `time` the server's clock in seconds since 1970. The
    header's attempt is the epoch, which rises each time. `anchors` are what the server holds of the party's ledger.
    """

    header: Header
    certificate: bytes
    time: int
    anchors: tuple[bytes, ...]


@dataclass(frozen=True)
class Joined:
    """Party to server, signed: the certificate of its key under the plan, and the heads that it keeps of others."""

    header: Header
    certificate: bytes
    heads: tuple[bytes, ...]


@dataclass(frozen=True)
class Introduce:
    """Server to party: the certificates of all parties that joined, by name, and what others keep of its own ledger."""

    header: Header
    certificates: dict[str, bytes]
    anchors: tuple[bytes, ...]


@dataclass(frozen=True)
class Offered:
    """Party to server: its offer of seeds to the other parties of its group, empty where there are none."""

    header: Header
    offer: bytes


@dataclass(frozen=True)
class Deliver:
    """Server to party: what the other parties of its group offered to it."""

    header: Header
    offers: tuple[bytes, ...]


@dataclass(frozen=True)
class Publish:
    """Server to party: a public part of the model (bins, a tower), to be kept under the digest of its body."""

    header: Header
    name: str
    body: bytes


@dataclass(frozen=True)
class Stored:
    """Party to server: I keep the part with this digest."""

    header: Header
    digest: str


@dataclass(frozen=True)
class SumRequest:
    """Server to party: answer with your contribution to a sum over `cohort`.

    `parameters` is float64 [p], the weights of a training round, empty elsewhere. `parts` names the published
    parts that the phase builds on, name to digest. Everything else comes from the plan.
    """

    header: Header
    cohort: tuple[str, ...]
    parameters: np.ndarray
    parts: dict[str, str]


@dataclass(frozen=True)
class SumAnswer:
    """Party to server: a contribution, of plan-fixed length whatever the data."""

    header: Header
    contribution: bytes


@dataclass(frozen=True)
class PairRequest:
    """Server to party: take `body`, which `peer` sent you, and give what you have for `peer` at this step.

    The step is the header's round. `parts` names the published parts that the phase builds on, name to digest.
    """

    header: Header
    peer: str
    body: bytes
    parts: dict[str, str]


@dataclass(frozen=True)
class PairAnswer:
    """Party to server: a payload to be carried to the peer, of plan-fixed length whatever the data."""

    header: Header
    body: bytes


@dataclass(frozen=True)
class Finish:
    """Server to party: the run has ended; nothing more is asked under the plan."""

    header: Header


@dataclass(frozen=True)
class Propose:
    """Server to party, signed: the canonical text of a plan, for the party's operator to look at."""

    header: Header
    text: bytes


@dataclass(frozen=True)
class Asked:
    """Server to party: a request, as its kind and body, with what goes along with every request.

    `heads` are the other parties' signed heads, `receipt` the server's for the party's own last one (empty where there
    is none), `notices` what peers have sealed to the party about withdrawn consents, by sender.
    """

    header: Header
    kind: str
    body: bytes
    heads: tuple[bytes, ...]
    receipt: bytes
    notices: dict[str, bytes]


@dataclass(frozen=True)
class Answered:
    """Party to server: a reply, as its kind and body, with the head of the party's ledger and notices to peers."""

    header: Header
    kind: str
    body: bytes
    head: bytes
    notices: dict[str, bytes]


@dataclass(frozen=True)
class Refusal:
    """Party to server: no, by a code that does not depend on the data."""

    header: Header
    code: str


SetUp = Propose | Join | Joined | Introduce | Offered | Deliver
Wrapped = Asked | Answered
Request = Hello | Publish | SumRequest | PairRequest | Finish
Reply = Ready | Stored | SumAnswer | PairAnswer | Refusal
Message = SetUp | Wrapped | Request | Reply
_TYPES: dict[str, type[Any]] = {kind.__name__: kind for kind in typing.get_args(Message)}
_ARRAY = {"<f8": np.float64, "<i8": np.int64, "|u1": np.uint8}

M = TypeVar("M")


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    return _pack([type(message).__name__, _fields(message)])


def decode(data: bytes, *expected: type[M]) -> M:
    """The message in `data`, of one of the expected types; MessageError where it is anything else."""
    whole = _unpack(data)
    if not isinstance(whole, list) or len(whole) != 2:
        raise MessageError("these bytes are no message")
    name, fields = whole
    kind = _expected(name, expected)
    message = _build(kind, fields)
    if encode(message) != data:
        raise MessageError(f"this {kind.__name__} is not in canonical form")
    return typing.cast(M, message)


def encode_body(message: Message) -> bytes:
    """The bytes of a message without its type and header, for where both travel otherwise."""
    return _pack({name: value for name, value in _fields(message).items() if name != "header"})


def decode_body(name: str, header: Header, data: bytes, *expected: type[M]) -> M:
    """The message of that type and header whose `encode_body` is `data`; MessageError as for `decode`."""
    kind = _expected(name, expected)
    fields = _unpack(data)
    if not isinstance(fields, dict) or "header" in fields:
        raise MessageError(f"a {kind.__name__} has another body")
    message = _build(kind, {**fields, "header": _plain(header)})
    if encode_body(message) != data:
        raise MessageError(f"this {kind.__name__} is not in canonical form")
    return typing.cast(M, message)


def digest(data: bytes) -> str:
    """SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _unpack(data: bytes) -> Any:
    try:
        return unpack(data, MAX_BYTES, _MAX_ITEMS)
    except UnpackError as error:
        raise MessageError(f"these bytes are no message: {error}") from None


def _expected(name: Any, expected: tuple[type[Any], ...]) -> type[Any]:
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None or kind not in expected:
        raise MessageError(f"expected {' or '.join(k.__name__ for k in expected)}, got {str(name)[:40]}")
    return kind


def _pack(value: Any) -> bytes:
    return typing.cast(bytes, msgpack.packb(value, use_bin_type=True))


def _fields(message: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(message, f.name)) for f in dataclasses.fields(message)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, np.ndarray):
        little = value.dtype.newbyteorder("<").str if value.dtype.itemsize > 1 else value.dtype.str
        if little not in _ARRAY:
            raise MessageError(f"arrays of {value.dtype} do not travel")
        return {"dtype": little, "shape": list(value.shape), "data": value.astype(little).tobytes()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    return value


def _build(kind: Any, fields: Any) -> Any:
    hints = typing.get_type_hints(kind)
    if not isinstance(fields, dict) or set(fields) != set(hints):
        raise MessageError(f"a {kind.__name__} has the fields {', '.join(hints)}")
    return kind(**{name: _typed(hints[name], fields[name], f"{kind.__name__}.{name}") for name in hints})


def _typed(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value)
    if hint is np.ndarray:
        return _array(value, where)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and isinstance(value, list):
        return tuple(_typed(args[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {_typed(args[0], k, where): _typed(args[1], v, where) for k, v in value.items()}
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise MessageError(f"{where} has the wrong type")


def _array(value: Any, where: str) -> np.ndarray:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data"} or not isinstance(value["data"], bytes):
        raise MessageError(f"{where} is no array")
    kind, shape = _ARRAY.get(value["dtype"]) if isinstance(value["dtype"], str) else None, value["shape"]
    if kind is None or not isinstance(shape, list) or not all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape):
        raise MessageError(f"{where} is no array")
    entries, most = math.prod(shape), math.prod(max(1, n) for n in shape)
    if len(shape) > _MAX_DIMENSIONS or most > MAX_BYTES or len(value["data"]) != entries * np.dtype(kind).itemsize:
        raise MessageError(f"{where} has not the entries that its shape says")
    return np.frombuffer(value["data"], dtype=value["dtype"]).reshape(shape).astype(kind)
