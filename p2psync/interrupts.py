"""Ctrl-C before a command has begun."""

import os
import signal


def leave_when_interrupted() -> None:
    """Have Ctrl-C end the process at once and without a word, until a command takes it over.

    Nothing is begun by then, and an exception could be lost in what is being imported.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us lets us ignore it
        signal.signal(signal.SIGINT, lambda _signal, _frame: os._exit(130))
