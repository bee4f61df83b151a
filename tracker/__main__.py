"""The command, also as `python -m tracker`: ready for Ctrl-C before it imports anything of size."""

from p2psync.interrupts import leave_when_interrupted


def main() -> None:
    """Run the command line."""
    leave_when_interrupted()
    from tracker.cli import main as run  # noqa: PLC0415 - takes 0.2 s, in which an interrupt would be a traceback

    run()


if __name__ == "__main__":
    main()
