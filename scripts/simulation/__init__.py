"""Swarms of any size on virtual time: the real picker, requests, holdings, offers and wish queues, limits and choking,
over modelled lines.

Links are given, or in some cases made by the real address book, dials and neighbours and a modelled tracker.

What is modelled: every host's line has a rate each way and passes quanta of bytes in turn, paths have a delay, a stream
keeps a bounded number of bytes under way, and control messages overtake payload that has not left. What is left out:
manifests (every getter knows it from the start), TLS, disks, loss.
"""
