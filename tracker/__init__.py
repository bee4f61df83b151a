"""A BitTorrent tracker as a service of its own.

It shares with p2psync only byte formats, ids, metrics, errors, and how a command words, prints and is interrupted.
"""
