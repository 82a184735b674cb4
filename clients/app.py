"""The Flower ClientApp: a courier between Flower and the partner's node. It has no logic and no data.

A reply holds the answer's bytes or a public code, and the courier's process id. Flower sends the text of an
exception of a client app to the server as it is, so none may leave this module.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from .courier import NodeError, Responder, describe, find

app = ClientApp()
log = logging.getLogger("sealscore.courier")


@app.query("hello")
def hello(message: Message, context: Context) -> Message:
    """Tell which party's node this courier reaches."""
    return _reply(message, context, lambda node: node.name.encode("utf-8"))


@app.train("carry")
def carry(message: Message, context: Context) -> Message:
    """Hand the request's bytes to the node and carry its answer back."""
    return _reply(message, context, lambda node: node.answer(_body(message)))


def _body(message: Message) -> bytes:
    body = message.content.config_records["request"]["body"]
    if not isinstance(body, bytes):
        raise TypeError("the body of a request is bytes")
    return body


def _reply(message: Message, context: Context, ask: Callable[[Responder], bytes]) -> Message:
    try:
        outcome = ConfigRecord({"body": ask(find(context.node_config, context.run_config, message.metadata.ttl))})
    except Exception as error:
        code = error.code if isinstance(error, NodeError) else "unavailable"
        log.warning("the node gave no answer (%s): %s", code, describe(error))
        outcome = ConfigRecord({"code": code})
    return Message(RecordDict({"answer": outcome, "courier": MetricRecord({"pid": os.getpid()})}), reply_to=message)
