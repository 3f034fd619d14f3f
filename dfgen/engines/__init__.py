"""Who generates text: one protocol, several engines.

- ``base``: the protocol: `Request`, `Result`, `Engine`; nothing else of dfgen in it.
- ``loading``: from a section of the pipeline file to an engine.
- ``chat``: a request's messages in the dialects of templates and servers.
- ``transformers``: a model in this process. ``openai``: a server.

Importing this package is light; model libraries are imported when an engine is loaded.
"""
