"""Where blocks live: the user's own files through an index, and the only durable writes. Blocking code, no trio."""
