"""Every byte format between hosts, sans-IO: bytes in, events out; messages in, bytes out. PROTOCOL.md has the bytes."""
