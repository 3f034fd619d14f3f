"""The OpenAI engine: a server that speaks the OpenAI chat protocol.

- ``engine``: the `Engine` itself: a synchronous iterator over an event loop in a thread.
- ``background``: that thread.
- ``session``: one request from payload to result, tries and waits included.
- ``carrier``: the connections.
- ``payload``, ``answers``: what is sent, and what comes back read without trust.
- ``faults``, ``backoff``, ``breaker``: what an error means, how long to wait, when to give up.
- ``lanes``, ``pacing``: how many requests are in flight, and how many a minute.
- ``pictures``: copies of pictures that are too large for a server.
- ``endpoint``: where the server is, and the key that must not be seen.
"""
