"""The transformers engine: a model of this process, in batches.

- ``engine``: the `Engine` itself: batches of requests in, lists of results out.
- ``location``, ``loading``: find a model and load it, or say why it cannot be used.
- ``prompts``, ``collation``: chats and pictures to tensors, one prompt, then a batch.
- ``sampling``, ``stopping``: how a token is drawn, and where a completion ends.
- ``describing``: what goes into the manifest.
"""
