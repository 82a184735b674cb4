"""The operator's side of a SuperLink: enrol nodes' keys, submit the app bundle, follow and stop runs.

Speaks to the control port with the token, through Flower's own client. A run's exit code says nothing about how
the run ended; `SubmittedRun.completed` does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.serde import user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    StreamLogsRequest,
)
from flwr.proto.fab_pb2 import Fab
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import FlowerError
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

from sealscore.server.deploy.control_answers import ControlError, EnrolledNode, SubmittedRun
from sealscore.server.deploy.superlink import SuperLinkSettings, read_token
from sealscore.shared.bundle import Bundle


class Control:
    """A connection to the control port; a context manager.

    Raises SuperLinkError where there is no token. All methods raise ControlError.
    """

    def __init__(self, settings: SuperLinkSettings) -> None:
        self._client = ControlHttpClient.from_server_address(
            settings.control_address,
            insecure=False,
            root_certificates=str(settings.authority),
            interceptors=[_Token(read_token(settings.token))],
        )

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def enrol(self, public_key: str, name: str) -> int:
        """Let the node with this key (one line in OpenSSH form, a NIST curve) connect; returns its id.

        A key that is enrolled already under this name is left as it is.
        """
        key = _public_key(public_key, name)
        for node in self.nodes():
            if _public_key(node.public_key, node.name) == key:
                if node.name != name:
                    raise ControlError(f"the key of {name!r} is enrolled already, as {node.name!r}; each has its own")
                return node.node_id
        with _asking(f"enrolling {name!r}"):
            return self._client.RegisterNode(RegisterNodeRequest(public_key=key, name=name)).node_id

    def nodes(self) -> list[EnrolledNode]:
        """All nodes that may connect, by name."""
        with _asking("listing nodes"):
            found = self._client.ListNodes(ListNodesRequest()).nodes_info
        nodes = [EnrolledNode(node.node_id, node.name, node.status, _line(node.public_key)) for node in found]
        return sorted((node for node in nodes if node.status != "unregistered"), key=lambda node: node.name)

    def submit(self, bundle: Bundle, run_config: Mapping[str, str | int | float | bool]) -> int:
        """Start a run of the app bundle; keys of `run_config` must be among those of the bundle. Returns its id."""
        request = StartRunRequest(
            fab=Fab(hash_str=bundle.sha256, content=bundle.content),
            override_config=user_config_to_proto(dict(run_config)),
        )
        with _asking("starting a run"):
            answer = self._client.StartRun(request)
        if not answer.HasField("run_id"):
            raise ControlError(
                "starting a run: the SuperLink accepted neither the bundle nor the configuration; see its log"
            )
        return answer.run_id

    def runs(self) -> list[SubmittedRun]:
        """All runs, the last one first."""
        with _asking("listing runs"):
            found = self._client.ListRuns(ListRunsRequest()).run_dict
        return [_run(run) for run in sorted(found.values(), key=lambda run: run.pending_at, reverse=True)]

    def run(self, run_id: int) -> SubmittedRun:
        """One run."""
        with _asking(f"asking for run {run_id}"):
            found = self._client.ListRuns(ListRunsRequest(run_id=run_id)).run_dict
        if run_id not in found:
            raise ControlError(f"there is no run {run_id}")
        return _run(found[run_id])

    def wait(self, run_id: int, timeout: float | None = None, every: float = 0.5) -> SubmittedRun:
        """The run when it has finished, or as it is after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (run := self.run(run_id)).finished:
            if deadline is not None and time.monotonic() > deadline:
                return run
            time.sleep(every)
        return run

    def stop(self, run_id: int) -> bool:
        """Stop a run; False where it had finished."""
        with _asking(f"stopping run {run_id}"):
            return self._client.StopRun(StopRunRequest(run_id=run_id)).success

    def logs(self, run_id: int) -> Iterator[str]:
        """What the server app logs, in pieces as it comes, until the run has finished."""
        with _asking(f"reading the log of run {run_id}"):
            for piece in self._client.StreamLogs(StreamLogsRequest(run_id=run_id, after_timestamp=0.0)):
                yield piece.log_output


class _Token:
    """Adds the operator's token to a request."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        context.request.headers["authorization"] = self._header
        return call_next(context)


class _asking:  # noqa: N801 - reads as the statement that it is
    """Turns what Flower's client raises into one line."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, httpx.HTTPStatusError):
            raise ControlError(f"{self._wanted}: {_reason(error.response)}") from None
        if isinstance(error, (httpx.HTTPError, OSError, ValueError)):
            raise ControlError(f"{self._wanted}: the SuperLink cannot be reached ({error}); is it started?") from None


def _reason(response: httpx.Response) -> str:
    if response.status_code == 401:
        return "the token is not the one that the SuperLink was started with"
    if (found := FlowerError.from_json(response.text)) is not None:
        return f"{found.message} {found.public_details or ''}".strip()
    return f"status {response.status_code}"


def _public_key(line: str, name: str) -> bytes:
    try:
        key = serialization.load_ssh_public_key(line.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm, UnicodeEncodeError):
        raise ControlError(f"the key of {name!r} is no public key in OpenSSH form") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ControlError(f"the key of {name!r} is no elliptic-curve key; make it again with sealscore-node init")
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _line(pem: bytes) -> str:
    key = serialization.load_pem_public_key(pem)
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode("ascii")


def _run(run: object) -> SubmittedRun:
    status = run.status  # type: ignore[attr-defined]
    return SubmittedRun(run.run_id, status.status, status.sub_status, status.details, run.fab_hash)  # type: ignore[attr-defined]
