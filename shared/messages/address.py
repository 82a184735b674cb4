"""Where a message belongs: one shape for messages, seals, sums, streams and what a ledger notes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sealscore.shared.fields import FieldsError, counter, pack_fields, plan_bytes, unpack_fields

_FIELDS = 8


@dataclass(frozen=True)
class Address:
    """From whom to whom, and at which place. `plan` is the plan's hash, `run` the server's random name of the run."""

    plan: str
    run: str
    phase: str
    round: int
    attempt: int
    sender: str
    recipient: str

    def reply(self) -> Address:
        """The address of what answers this."""
        return replace(self, sender=self.recipient, recipient=self.sender)

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
            plan, run, phase, round, attempt, kind, sender, recipient = unpack_fields(data, _FIELDS)
        except FieldsError as error:
            raise ValueError("these bytes are no address") from error
        place = int.from_bytes(round, "big"), int.from_bytes(attempt, "big")
        found = cls(plan.hex(), run.decode(), phase.decode(), *place, sender.decode(), recipient.decode())
        if found.encode(kind.decode()) != data:
            raise ValueError("this address is not in canonical form")
        return found, kind.decode()
