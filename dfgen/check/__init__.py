"""Looks for what would stop a run, before anything is read, loaded or paid for.

- ``finding``: what is said of one problem.
- ``scope``: what is about to run: settings, stages, run directory, first rows, model files.
- ``checking``: all checks, in the order in which their findings are told.
- ``settings``: templates and limits that do not go together.
- ``models``: model directories and Hub ids, and the packages of their engines.
- ``servers``: addresses, keys, and whether the model is served.
- ``rows``: the first rows of the source: readable, with pictures that are there.
- ``graders``: whether the graders can be called, and fit the reference answers.
- ``chats``: chat templates, and whether prompt and completion fit the context.
- ``disk``: room for what the run will write.

No weights are loaded, and no library that runs models is imported. Each check yields findings; what
it cannot find out without that is left to the stage itself.
"""
