"""The command, also as `python -m tracker`: ready for Ctrl-C before it imports anything of size."""

import os
import signal


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us lets us ignore it
        signal.signal(signal.SIGINT, _leave)
    from tracker.cli import main as run  # noqa: PLC0415 - takes 0.2 s, in which an interrupt would be a traceback

    run()


def _leave(_signal: int, _frame: object) -> None:
    os._exit(130)  # nothing is begun; an exception could be lost in what is being imported


if __name__ == "__main__":
    main()
