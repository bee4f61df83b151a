"""Where peers are: trackers, the local network, addresses somebody gave."""
