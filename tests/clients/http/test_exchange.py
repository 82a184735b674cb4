"""Answers to callers that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from sealscore.clients.http.exchange import HungUp, send_json, send_problem, send_text
from sealscore.clients.http.problems import not_found

CLOSED = "unable to perform operation on <TCPTransport closed=True>; the handler is closed"


def sender(words: str) -> Any:
    async def send(message: MutableMapping[str, Any]) -> None:
        raise RuntimeError(words)

    return send


def test_a_caller_that_is_gone_when_it_is_answered_is_no_fault():
    with pytest.raises(HungUp):
        asyncio.run(send_json(sender(CLOSED), b"{}"))
    with pytest.raises(HungUp):
        asyncio.run(send_text(sender(CLOSED), b"", "text/plain"))
    asyncio.run(send_problem(sender(CLOSED), not_found()))


def test_a_fault_of_our_own_is_not_hidden():
    with pytest.raises(RuntimeError, match="content-length"):
        asyncio.run(send_problem(sender("more than content-length"), not_found()))
