"""Makes masks: of trajectories and repairs, of pairs, and for other tokenizers."""
