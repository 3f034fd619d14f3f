"""Builds the environment of `make vllm-test`: the real vLLM on a machine without a GPU."""
