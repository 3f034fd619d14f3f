"""The vLLM engine: a model in this process, many completions at once.

- ``engine``: the `Engine` itself: keeps vLLM's queue filled, hands out what has finished.
- ``binding``: the one module that calls vLLM. What it needs of vLLM's API is listed and checked
  there, so that a vLLM that has moved on is refused by name and not misunderstood.
- ``arguments``, ``lora``: from the pipeline file to vLLM's `EngineArgs`.
- ``model``, ``prompts``: processor and chat template; one request's chat to one vLLM prompt.
- ``answers``: what vLLM returns, as results.
- ``describing``: what goes into the manifest.
- ``watch``: notices an engine process that died.
- ``environment``: variables that must be set before vLLM is imported.
"""
