"""The OpenAI engine: a server that speaks the OpenAI chat protocol.

- ``engine``: the `Engine` itself: a synchronous iterator over an event loop in a thread.
- ``background``: that thread.
- ``session``: one request from payload to result, tries and waits included.
- ``payload``, ``answers``: what is sent, and what comes back read without trust.
- ``faults``, ``backoff``, ``limits``: what an error means, how long to wait, when to give up.
- ``endpoint``: where the server is, and the key that must not be seen.
"""
