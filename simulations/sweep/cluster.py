"""Runs on a Ray cluster that is there already, named by its address.

Every machine of the cluster has Sealscore of the same version installed, and the data where this machine has them.
Only plans and rows travel.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator, Sequence

from sealscore.simulations.data.datasets import VARIABLE
from sealscore.simulations.sweep.config import Task
from sealscore.simulations.sweep.row import Done, carry_out

_PATIENCE = 10.0
_LOOPBACK = ("127.0.0.1", "localhost")
# Unset, Ray takes "127.0.0.1" for another name of this machine's address in its network; read when it is imported.
_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


class NoCluster(ValueError):
    """There is no cluster at an address."""


class RunsLost(RuntimeError):
    """A cluster that lost runs, or was lost itself."""


def on_cluster(tasks: Sequence[Task], address: str, track: bool = False) -> Generator[Done, None, None]:
    """Carry out tasks on a Ray cluster, one core a run, and give each run as it is done.

    When the caller stops early, runs under way are cancelled. The cluster itself is left as it is.

    Raises:
        NoCluster: there is no cluster at that address.
        RunsLost: a machine of the cluster went away with runs, and trying them again was of no use.
    """
    look(address)
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise NoCluster(f"no Ray cluster answers at {address}: {error}") from error
    environment = {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}
    remote = ray.remote(num_cpus=1, max_retries=2)(_carry_out)
    under_way = [remote.remote(task, environment, track) for task in tasks]
    try:
        while under_way:
            done, under_way = ray.wait(under_way)
            yield from ray.get(done)
    except ray.exceptions.RayError as error:
        raise RunsLost(f"the cluster at {address} lost a run: {error}") from error
    finally:
        for one in under_way:
            ray.cancel(one, force=True)
        ray.shutdown()


def _carry_out(task: Task, environment: dict[str, str], track: bool) -> Done:
    os.environ.update(environment)
    return carry_out(task, track=track)


def look(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes. "auto" is for Ray to resolve.

    Raises:
        NoCluster: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise NoCluster(f"{address!r} is no address of a Ray cluster; give HOST:PORT, ray://HOST:PORT or auto")
    if not _listens(host, int(port)):
        raise NoCluster(f"no Ray cluster answers at {address}; `ray start --head` starts one and tells its address")
    if host in _LOOPBACK and not _listens(_own_address(), int(port)):
        os.environ.setdefault(_CLUSTERS, "0")


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError:
        return False
    return True


def _own_address() -> str:
    """The address of this machine in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return _LOOPBACK[0]
        return str(probe.getsockname()[0])
