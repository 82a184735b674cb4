"""The one exception by which a node says no."""


class Refused(Exception):
    """A request that the node does not answer, with the public code that it gives as the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
