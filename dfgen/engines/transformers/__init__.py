"""Holds the engine for a model in this process through transformers, computed in batches.

- ``engine``: the `Engine` itself: batches of requests in, lists of results out.
- ``loading``: loads the model, or says why it cannot be used.
- ``prompts``, ``collation``: chats and pictures to tensors, of one prompt, then of a batch.
- ``sampling``, ``stopping``: how a token is drawn, and where a completion ends.
- ``scoring``: how probable completions are that are there already.
- ``describing``: what goes into the manifest.
"""
