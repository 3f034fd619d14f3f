"""Holds a model's processor: tokenizer, picture processor and chat template, without weights.

Shared by every engine that runs a model on this machine, so that all of them write the same prompts
and give the same hashes.

- ``location``: whether a name is a model's directory at all.
- ``loading``: loads the processor, or says why it cannot be used.
- ``chat_template``: a request's chat to the text of its prompt.
- ``pictures``: decodes pictures for the processor.
- ``token_ids``: which ids a model can be fed, and what ids read as text.
- ``hashing``: digests of all of it for the manifest.
"""
