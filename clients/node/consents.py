"""The consents that a node follows: in the disclosure store, and passed on to peers when they end."""

from __future__ import annotations

from collections.abc import Collection

from sealscore.clients.node.plan_ledger import PlanLedger
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan


class Consents:
    """The consents of a party's records under one plan.

    A person who may no longer be joined with a peer, since a consent to it or to sums has ended at this party, is
    withdrawn from every pair with it: the peer gets a notice (see `Withdrawals`), and its disclosures are deleted here.
    """

    def __init__(
        self, plan: Plan, peers: Collection[str], plan_ledger: PlanLedger, disclosure_store: DisclosureStore
    ) -> None:
        self._plan, self._peers, self._plan_ledger, self._disclosure_store = plan, peers, plan_ledger, disclosure_store
        self._records: Records | None = None

    def note(self, records: Records) -> None:
        """Keep the consents of records as they are now, in place of those before; the records need no columns."""
        self._records = records
        if records.consent is not None:
            rows = zip(records.person, records.ids, records.consent, strict=True)
            self._disclosure_store.note_consents((person, one, given) for person, one, all_ in rows for given in all_)
        self.end()

    def end(self) -> None:
        """Withdraw from the pairs whose consent to it is not live any more."""
        records, purpose = self._records, self._plan.purpose_code
        if records is None or records.consent is None:
            return
        purposes = {plan: kept.plan.purpose_code for plan, kept in self._plan_ledger.ledger.state.plans.items()}
        for peer in self._peers:
            live = set(records.joined(peer, purpose))
            for plan, persons in self._disclosure_store.paired(peer).items():
                # Under another purpose other consents count; the node of such a plan sees to them.
                if purposes.get(plan) == purpose:
                    self._disclosure_store.withdraw(plan, peer, [person for person in persons if person not in live])
