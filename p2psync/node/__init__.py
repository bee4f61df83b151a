"""Composition: keys, listeners, discovery, swarm and sync of one running node."""
