"""Defines engines: what generates text, or says how probable a text is, behind one protocol.

- ``base``: the protocol: `Request` and `Result`, `ScoreRequest` and `ScoreResult`, `Engine`.
- ``loading``: makes an engine from a section of the pipeline file.
- ``chat``: writes a request's messages as chat templates and as servers want them.
- ``processor``: a model's tokenizer, picture processor and chat template, without its weights.
- ``transformers``: a model in this process, computed in batches.
- ``vllm``: a model in this process or in workers of its own, through vLLM.
- ``openai``: a model behind a server.

Importing this package, ``base``, ``loading`` or ``chat`` imports no model library; the others are
imported when an engine is loaded.
"""
