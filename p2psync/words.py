"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """Return how many there are of something: 1 path, 2,000 addresses."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"
