"""Says how far runs are, without the lock and without reading whole tables."""
