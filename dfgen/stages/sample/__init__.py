"""Drawing the answers of the policy: requests, grading, shards, retries."""
