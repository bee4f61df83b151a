"""`python -m p2psync`: the same command."""

from p2psync.cli.main import main

main()
