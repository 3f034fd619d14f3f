"""Holds the engine for a model that vLLM runs: many completions at once, on one GPU or several.

- ``engine``: the `Engine` itself: keeps vLLM's queue filled, hands out what has finished.
- ``tasks``: what differs between generating and scoring.
- ``binding``: the one module that calls vLLM. What it needs of vLLM's API is listed and checked
  there, so that a vLLM that has moved on is refused by name and not misunderstood.
- ``arguments``, ``lora``: from the pipeline file to vLLM's `EngineArgs`.
- ``prompts``, ``rendering``: a request's chat to a prompt, and that to what vLLM computes on.
- ``answers``: what vLLM returns, as results.
- ``describing``, ``worker_probe``: what goes into the manifest, asked of vLLM's workers.
- ``watch``: notices an engine process that died.
- ``environment``: variables that must be set before vLLM is imported.
"""
