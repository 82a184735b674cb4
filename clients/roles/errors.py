"""How a node says no: to the server by a code, to its own operator in words."""


class Refused(Exception):
    """A request that the node does not answer, with the public code that it gives as the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class LocalFault(Exception):
    """Something is wrong with what the party holds or was sent; the words are for its operator only.

    The server learns that the party is unavailable, since the fault may depend on the data.
    """
