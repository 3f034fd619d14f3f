"""Puts a run on the Hub as a data set: checked before, one commit, verified after.

    stage   tables, manifest, card and plots into a folder of the run        (staging)
    check   secrets, local paths, GPS positions, licence                     (safety)
    send    shards one by one, known by their sha256, so nothing goes twice  (sending)
    commit  everything at once, on top of the head that was looked at        (sending)
    verify  the Hub's checksums, then a `load_dataset` in a fresh cache      (verifying)
    tag     names the commit; other people's loaders can pin it

The client library's own retries have holes (none for creating a repository, a commit, or a tag),
so every call goes through `dfgen.publish.retrying`.
"""
