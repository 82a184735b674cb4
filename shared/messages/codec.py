"""Messages and their addresses as bytes: deterministic msgpack, arrays little-endian, other fields than known refused.

Equal messages have equal bytes, and bytes that are not the encoding of the message that they decode to are refused, so
a digest of the bytes identifies a message. From each message follows one wire type, whose lists and maps are bounded:
a list of nothing takes one byte and becomes some sixty in memory, and a head of five bytes may claim 2^32 items.
"""

from __future__ import annotations

import hashlib
import math
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import msgspec
import numpy as np

from sealscore.shared.fields import FieldsError, counter, pack_fields, plan_bytes, unpack_fields

MAX_BYTES = 64 * 1024 * 1024
# A plan has at most 1,000 parties, and a message names each of them once or twice.
_MAX_ITEMS = 2**12
_MAX_DIMENSIONS = 8
_ADDRESS_FIELDS = 8
_ARRAY = {"<f8": np.float64, "<i8": np.int64, "|u1": np.uint8}


class MessageError(ValueError):
    """Bytes that are no message of the type that is expected here."""


@dataclass(frozen=True)
class Address:
    """Where a message belongs: one shape for messages, seals, sums, streams and what a ledger notes of them.

    It says from whom to whom, and at which place. `plan` is the plan's hash, `run` the server's random name of the run.
    """

    plan: str
    run: str
    phase: str
    round: int
    attempt: int
    sender: str
    recipient: str

    def reply(self) -> Address:
        """The address of what answers this."""
        return self.between(self.recipient, self.sender)

    def between(self, sender: str, recipient: str) -> Address:
        """The same place from whom to whom else."""
        return Address(self.plan, self.run, self.phase, self.round, self.attempt, sender, recipient)

    def encode(self, kind: str) -> bytes:
        """Canonical bytes of the address of a message of that kind.

        Raises:
            ValueError: the plan is no hash, or a counter is negative or beyond 64 bits.
        """
        texts = (self.run, self.phase, kind, self.sender, self.recipient)
        run, phase, said, sender, recipient = (text.encode("utf-8") for text in texts)
        numbers = counter(self.round), counter(self.attempt)
        return pack_fields(plan_bytes(self.plan), run, phase, *numbers, said, sender, recipient)

    @classmethod
    def decode(cls, data: bytes) -> tuple[Address, str]:
        """The address and the kind whose `encode` is `data`; ValueError where there are none."""
        try:
            plan, run, phase, round, attempt, kind, sender, recipient = unpack_fields(data, _ADDRESS_FIELDS)
        except FieldsError as error:
            raise ValueError("these bytes are no address") from error
        place = int.from_bytes(round, "big"), int.from_bytes(attempt, "big")
        found = cls(plan.hex(), run.decode(), phase.decode(), *place, sender.decode(), recipient.decode())
        if found.encode(kind.decode()) != data:
            raise ValueError("this address is not in canonical form")
        return found, kind.decode()


class Addressed(Protocol):
    """A message: a frozen dataclass of a kind that `register` was told of."""

    @property
    def header(self) -> Address:
        """Where it belongs."""
        ...


class _Array(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An array on the wire: its type as numpy writes it, its shape, its entries."""

    dtype: str
    shape: Annotated[tuple[int, ...], msgspec.Meta(max_length=_MAX_DIMENSIONS)]
    data: bytes


def _array_out(value: Any) -> _Array:
    if not isinstance(value, np.ndarray):
        raise MessageError(f"a {type(value).__name__} does not travel")
    little = value.dtype.newbyteorder("<").str if value.dtype.itemsize > 1 else value.dtype.str
    if little not in _ARRAY:
        raise MessageError(f"arrays of {value.dtype} do not travel")
    return _Array(little, value.shape, value.astype(little, copy=False).tobytes())


def _array_in(value: _Array) -> np.ndarray:
    kind, shape = _ARRAY.get(value.dtype), value.shape
    if kind is None or not all(0 <= n <= MAX_BYTES for n in shape):
        raise MessageError("this is no array")
    entries, most = math.prod(shape), math.prod(max(1, n) for n in shape)
    if most > MAX_BYTES or len(value.data) != entries * np.dtype(kind).itemsize:
        raise MessageError("an array has not the entries that its shape says")
    return np.frombuffer(value.data, dtype=value.dtype).reshape(shape).astype(kind)


def _wire(hint: Any) -> Any:
    """What stands on the wire for a field of that type."""
    if hint is np.ndarray:
        return _Array
    if typing.get_origin(hint) in (tuple, dict):
        return Annotated[hint, msgspec.Meta(max_length=_MAX_ITEMS)]
    return hint


class _Codec:
    """How one kind of message is read and written."""

    def __init__(self, kind: type[Any]) -> None:
        hints = typing.get_type_hints(kind)
        self.kind, self.fields = kind, tuple(hints)
        self.arrays = tuple(name for name, hint in hints.items() if hint is np.ndarray)
        fields = [(name, _wire(hint)) for name, hint in hints.items()]
        self.body_type = self._wire_type([field for field in fields if field[0] != "header"])
        self.whole = msgspec.msgpack.Decoder(self._wire_type(fields))
        self.body = msgspec.msgpack.Decoder(self.body_type)

    def _wire_type(self, fields: list[tuple[str, Any]]) -> type[msgspec.Struct]:
        return msgspec.defstruct(self.kind.__name__, fields, frozen=True, forbid_unknown_fields=True)

    def message(self, wire: Any, **given: Any) -> Any:
        """The message of what was read."""
        found = {name: given[name] if name in given else getattr(wire, name) for name in self.fields}
        for name in self.arrays:
            found[name] = _array_in(found[name])
        return self.kind(**found)

    def body_of(self, message: Any) -> msgspec.Struct:
        """The fields of a message beside its header, in their order."""
        return self.body_type(*[getattr(message, name) for name in self.fields if name != "header"])


_CODECS: dict[str, _Codec] = {}
# Maps are written in the order of their keys, fields in that of their definition.
_ENCODER = msgspec.msgpack.Encoder(enc_hook=_array_out, order="deterministic")
_WHOLE = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw])


def register(kinds: Iterable[type[Any]]) -> None:
    """Let messages of these kinds be written and read, by the names of their classes."""
    _CODECS.update({kind.__name__: _Codec(kind) for kind in kinds})


def encode(message: Addressed) -> bytes:
    """The bytes of a message."""
    return _ENCODER.encode((type(message).__name__, message))


def decode(data: bytes, *expected: type[Any]) -> Any:
    """The message in `data`, of one of the expected types; MessageError where it is anything else."""
    name, fields = _read(_WHOLE, data)
    codec = _expected(name, expected)
    message = codec.message(_read(codec.whole, fields))
    if encode(message) != data:
        raise MessageError(f"this {name} is not in canonical form")
    return message


def encode_body(message: Addressed) -> bytes:
    """The bytes of a message without its type and header, for where both travel otherwise."""
    return _ENCODER.encode(_CODECS[type(message).__name__].body_of(message))


def decode_body(name: str, header: Address, data: bytes, *expected: type[Any]) -> Any:
    """The message of that type and header whose `encode_body` is `data`; MessageError as for `decode`."""
    codec = _expected(name, expected)
    message = codec.message(_read(codec.body, data), header=header)
    if encode_body(message) != data:
        raise MessageError(f"this {name} is not in canonical form")
    return message


def whole(name: str, header: Address, body: bytes) -> bytes:
    """The bytes of the message of that type and header whose `encode_body` is `body`, without writing it again."""
    fields = body[0] & 0x0F
    head = _ENCODER.encode((name, {"header": header}))
    # A message has fewer than 15 fields beside its header, so their number is the low half of a map's first byte.
    at = len(_ENCODER.encode(name)) + 1
    return head[:at] + bytes((0x80 | (fields + 1),)) + head[at + 1 :] + body[1:]


def digest(data: bytes) -> str:
    """SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _read(decoder: msgspec.msgpack.Decoder[Any], data: bytes | msgspec.Raw) -> Any:
    if len(data) > MAX_BYTES:
        raise MessageError(f"a message has at most {MAX_BYTES} bytes")
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"these bytes are no message: {type(error).__name__}") from None


def _expected(name: Any, expected: tuple[type[Any], ...]) -> _Codec:
    codec = _CODECS.get(name) if isinstance(name, str) else None
    if codec is None or codec.kind not in expected:
        raise MessageError(f"expected {' or '.join(k.__name__ for k in expected)}, got {str(name)[:40]}")
    return codec
