"""Measurements of p2psync beside its rivals; each benchmark is a module here with `run(settings) -> Report`."""
