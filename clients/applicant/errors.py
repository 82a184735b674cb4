"""What goes wrong with an index of used numbers."""


class UsedNumbersError(RuntimeError):
    """An index that cannot be used; the message has the fix."""
