"""Blocks: immutable bytes named by their BLAKE3-256; what is stored, sent and checked. Pure."""
