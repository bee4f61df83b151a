"""Garbage for whatever reads a stranger's bytes; see `./scripts/fuzz --help`."""
