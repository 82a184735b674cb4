"""Flower's own application behind the partner port's door: no call of anybody makes it fail, and none gets in.

It is no OpenAPI service (bodies are protobuf of which its description says nothing), so requests are drawn from the
messages' own descriptors.
"""

from __future__ import annotations

import argparse
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2, run_pb2
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from mutations import fuzz
from starlette.testclient import TestClient

from sealscore.server.deploy import launcher
from sealscore.server.deploy.certificates import AUTHORITY, CERTIFICATE, KEY, make_authority, make_server_certificate
from sealscore.server.deploy.gate import FLEET, Gate

REQUESTS: dict[str, type[Message]] = {
    "activate-node": fleet_pb2.ActivateNodeRequest,
    "deactivate-node": fleet_pb2.DeactivateNodeRequest,
    "send-node-heartbeat": heartbeat_pb2.SendNodeHeartbeatRequest,
    "register-node": fleet_pb2.RegisterNodeFleetRequest,
    "unregister-node": fleet_pb2.UnregisterNodeFleetRequest,
    "pull-messages": fleet_pb2.PullMessagesRequest,
    "push-messages": fleet_pb2.PushMessagesRequest,
    "get-run": run_pb2.GetRunRequest,
    "get-fab": GetFabRequest,
    "push-object": message_pb2.PushObjectRequest,
    "pull-object": message_pb2.PullObjectRequest,
    "confirm-message-received": message_pb2.ConfirmMessageReceivedRequest,
}
INTEGERS = {FieldDescriptor.CPPTYPE_INT32: 31, FieldDescriptor.CPPTYPE_INT64: 63}
UNSIGNED = {FieldDescriptor.CPPTYPE_UINT32: 32, FieldDescriptor.CPPTYPE_UINT64: 64}
DEEPEST = 4
SAID = {"detail": "Internal server error."}
PROTOBUF = ("application/protobuf",) * 8


class Port(NamedTuple):
    """The port, the key of the one node that is enrolled, and Flower's state."""

    client: TestClient
    key: ec.EllipticCurvePrivateKey
    state: Any

    @property
    def node(self) -> int:
        """The enrolled node's id; it is enrolled again where a call of its own has ended that."""
        found = self.state.get_node_id_by_public_key(public(self.key))
        return found or self.state.create_node("owner", "owner", public(self.key), 30.0)


def public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    folder = tmp_path_factory.mktemp("link")
    make_authority(folder)
    make_server_certificate(folder, ["localhost"])
    (folder / "secret").write_text("s" * 40)
    arguments = argparse.Namespace(
        authority=folder / AUTHORITY,
        certificate=folder / CERTIFICATE,
        key=folder / KEY,
        superexec_secret=folder / "secret",
        database=folder / "link.db",
        control_port=1,
    )
    app = launcher.create_app(launcher._configuration(arguments), launcher.SuperLinkLifespan)
    gate = Gate(app, FLEET, 1_000_000, enrolled=launcher.enrolled_in(app.state.linkstate_factory))
    key = ec.generate_private_key(ec.SECP384R1())
    with TestClient(gate, base_url="https://localhost") as client:
        yield Port(client, key, app.state.linkstate_factory.state())


def signed(key: ec.EllipticCurvePrivateKey, at: datetime) -> dict[str, str]:
    stamp = at.isoformat()
    signature = key.sign(stamp.encode("ascii"), ec.ECDSA(hashes.SHA256()))
    return {
        FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(public(key)).decode("ascii"),
        TIMESTAMP_HEADER: stamp,
        FLEET_HTTP_SIGNATURE_HEADER: b64encode(signature).decode("ascii"),
    }


def value(field: FieldDescriptor, draw: Any, node: int, depth: int) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        return message(field.message_type._concrete_class, draw, node, depth + 1)
    if field.name == "node_id" and draw(st.integers(0, 3)):
        return node
    if kind in INTEGERS:
        ends = 2 ** INTEGERS[kind]
        return draw(st.one_of(st.sampled_from([0, -1, ends - 1, -ends]), st.integers(-ends, ends - 1)))
    if kind in UNSIGNED:
        most = 2 ** UNSIGNED[kind] - 1
        return draw(st.sampled_from([0, 1, node % (most + 1), most]))
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return draw(st.sampled_from([0.0, -1.0, 30.0, 1e300, float("nan"), float("inf")][: 6 if kind == 5 else 3]))
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return draw(st.booleans())
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return draw(st.integers(0, 5))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return draw(st.binary(max_size=40))
    return draw(st.one_of(st.text(max_size=20), st.sampled_from(["", "0" * 64, "../x", "\x00"])))


def message(kind: type[Message], draw: Any, node: int, depth: int = 0) -> Message:
    """A message of that kind with some of its fields set."""
    made = kind()
    for field in kind.DESCRIPTOR.fields:
        if depth > DEEPEST or not draw(st.booleans()):
            continue
        if field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.is_repeated:
            getattr(made, field.name).extend(value(field, draw, node, depth) for _ in range(draw(st.integers(0, 2))))
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(value(field, draw, node, depth))
        else:
            setattr(made, field.name, value(field, draw, node, depth))
    return made


def test_every_path_of_the_port_is_drawn():
    assert {f"/v1/fleet/{name}" for name in REQUESTS} == FLEET


def test_the_enrolled_node_is_let_in(port: Port):
    assert port.node
    body = fleet_pb2.ActivateNodeRequest(public_key=public(port.key), heartbeat_interval=30.0).SerializeToString()
    headers = {"content-type": PROTOBUF[0]} | signed(port.key, datetime.now(UTC))
    answer = port.client.post("/v1/fleet/activate-node", content=body, headers=headers)
    assert answer.status_code == 200
    assert fleet_pb2.ActivateNodeResponse.FromString(answer.content).node_id == port.node


STRANGER = ec.generate_private_key(ec.SECP384R1())


@fuzz(400)
@given(st.data())
def test_no_call_makes_it_fail_and_no_stranger_gets_in(port: Port, data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(REQUESTS)))
    node = port.node
    body = message(REQUESTS[name], data.draw, node).SerializeToString()
    if data.draw(st.integers(0, 3)) == 0:
        body = data.draw(st.binary(max_size=200))
    who = data.draw(st.sampled_from(["enrolled", "enrolled", "enrolled", "stranger", "nobody", "stale", "forged"]))
    headers = {"content-type": data.draw(st.sampled_from([*PROTOBUF, "application/json", ""]))}
    at = datetime.now(UTC) - (timedelta(hours=1) if who == "stale" else timedelta())
    if who != "nobody":
        headers |= signed(STRANGER if who == "stranger" else port.key, at)
    if who == "forged":
        headers[FLEET_HTTP_SIGNATURE_HEADER] = signed(STRANGER, at)[FLEET_HTTP_SIGNATURE_HEADER]
    answer = port.client.post(f"/v1/fleet/{name}", content=body, headers=headers)
    if who == "enrolled":
        # Flower fails on some ids that nobody has: an enrolled node learns that it did, and nothing of why.
        assert answer.status_code < 500 or answer.json() == SAID, (name, body, answer.text)
    else:
        assert 400 <= answer.status_code < 500, (name, who, body)
    assert port.state.get_node_id_by_public_key(public(STRANGER)) is None
