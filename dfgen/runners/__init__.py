"""Where shards run: rows between the store and the stages."""
