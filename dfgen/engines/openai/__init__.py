"""Holds the engine for servers that speak the OpenAI chat protocol: vLLM, SGLang, hosted APIs.

- ``engine``: the `Engine` itself: a plain iterator in front of an event loop in a thread.
- ``loop_thread``: that thread.
- ``session``: one request from its first try to its result, waits and further tries included.
- ``transport``, ``endpoint``: connections and headers; addresses, and the key nobody may see.
- ``payload``, ``pictures``: what is sent; copies of pictures that are too large for a server.
- ``answers``: what comes back, read without trust.
- ``classify``: what an error means, and how long to wait before the next try.
- ``breaker``: whether a server that fails is gone or the rows are bad.
- ``concurrency``, ``rate_limit``: how many requests are in flight, and how many are sent a minute.
"""
