"""Has requests answered in files that a provider works on later, at half the price.

- ``engine``: the `Engine` itself: fills files, hands them over, looks at them, reads what came.
- ``files``, ``exchange``: the same without a provider: files that somebody else answers.
- ``ledger``: what is out and since when, on disk; the next process goes on from it.
- ``handing_over``: hands a file over once, whatever happens in between.
- ``request_file``, ``results``: the rows of such files, written and read one by one.
- ``refusals``: the words of their errors.
- ``form``, ``openai_form``, ``anthropic_form``, ``gemini_form``: what the providers call things.
- ``providers``: their limits. ``carrier``: connections.
"""
