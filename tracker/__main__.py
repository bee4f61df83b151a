"""`python -m tracker`: the same command."""

from tracker.cli import main

main()
