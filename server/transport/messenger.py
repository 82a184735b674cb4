"""How the coordinator speaks to parties: in messages, whatever carries them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sealscore.server.transport.exchange import MALFORMED, Exchange, Failure, Reachable
from sealscore.shared.messages.codec import decode, encode
from sealscore.shared.messages.messages import (
    MessageError,
    PairAnswer,
    Ready,
    Refusal,
    Reply,
    Request,
    Stored,
    SumAnswer,
)


class Messenger(Reachable, Protocol):
    """Carries requests to parties and their replies back."""

    def ask(self, requests: Mapping[str, Request], timeout: float | None = None) -> dict[str, Reply | Failure]:
        """Each party's reply to its request, or that it gave none; waits `timeout` seconds at most."""
        ...


class ClearMessenger:
    """Messages in clear over an exchange, as between parts of one process."""

    def __init__(self, inner: Exchange) -> None:
        self._inner = inner

    def online(self) -> frozenset[str]:
        """As below."""
        return self._inner.online()

    def ask(self, requests: Mapping[str, Request], timeout: float | None = None) -> dict[str, Reply | Failure]:
        """Encode, send, decode; what is no reply is a Failure."""
        raw = self._inner.send({party: encode(request) for party, request in requests.items()}, timeout)
        return {party: self._read(party, found) for party, found in raw.items()}

    def _read(self, party: str, raw: bytes | Failure) -> Reply | Failure:
        if isinstance(raw, Failure):
            return raw
        try:
            reply: Reply = decode(raw, Ready, Stored, SumAnswer, PairAnswer, Refusal)
        except MessageError:
            return Failure(party, MALFORMED)
        return reply
