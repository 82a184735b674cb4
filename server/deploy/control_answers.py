"""What a SuperLink's control port says, in words of the project; without Flower, which takes a second to import."""

from __future__ import annotations

from dataclasses import dataclass

_FINISHED = "finished"


class ControlError(RuntimeError):
    """The SuperLink refused or could not be asked; the text says what was wanted and why it failed."""


@dataclass(frozen=True)
class SubmittedRun:
    """A run as the SuperLink knows it: `status` is pending, starting, running or finished; `outcome` is completed,
    failed or stopped once it has finished, and empty before."""

    run_id: int
    status: str
    outcome: str
    details: str
    bundle: str

    @property
    def finished(self) -> bool:
        return self.status == _FINISHED

    @property
    def completed(self) -> bool:
        return self.finished and self.outcome == "completed"


@dataclass(frozen=True)
class EnrolledNode:
    """A node's key as the SuperLink knows it; `public_key` is one line in OpenSSH form."""

    node_id: int
    name: str
    status: str
    public_key: str

    @property
    def online(self) -> bool:
        return self.status == "online"
