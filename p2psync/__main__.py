"""The command, also as `python -m p2psync`: ready for Ctrl-C before it imports anything of size."""

from p2psync.interrupts import leave_when_interrupted


def main() -> None:
    """Run the command line."""
    leave_when_interrupted()
    from p2psync.cli.main import main as run  # noqa: PLC0415 - takes 0.2 s, in which an interrupt would be a traceback

    run()


if __name__ == "__main__":
    main()
