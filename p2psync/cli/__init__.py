"""The command `p2psync`: options in, events out, exit codes."""
