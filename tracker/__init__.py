"""A BitTorrent tracker as a service of its own; shares only byte formats, ids, metrics and errors with p2psync."""
