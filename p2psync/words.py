"""Numbers and paths in sentences."""


def counted(number: int, noun: str) -> str:
    """Return how many there are of something: 1 path, 2,000 addresses."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def shown_path(path: bytes) -> str:
    """Return a path in quotes; what is no UTF-8 in it as escapes."""
    return repr(path.decode("utf-8", "backslashreplace"))
