"""When what a first scan has found so far is offered: hashing a large folder does not hold up sharing it. Pure."""

FIRST_S = 2.0
"""A scan that is over sooner need show nothing before its end."""
_GROWTH = 2.0
"""Each time as much again: making a manifest of all that there is so far costs a fifth of having scanned it."""


class ShowTimes:
    """Tells when to show how far a scan is.

    Args:
        began: When it began, in seconds.
        first_s: How long it must have lasted before it is shown for the first time.
    """

    def __init__(self, began: float, first_s: float = FIRST_S) -> None:
        self._began = began
        self._next_s = first_s

    def is_due(self, now: float) -> bool:
        """Say whether it is time; then it is not again before the scan has lasted twice as long."""
        lasted = now - self._began
        if lasted < self._next_s:
            return False
        self._next_s = lasted * _GROWTH
        return True
