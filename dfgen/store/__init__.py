"""Keeps rows on disk: a run directory that loses nothing and never pays twice.

`dfgen.store.run.Run` is the way in, and this is how a stage goes through it:

    run = Run.open_or_create(root, pipeline)
    with run.lock():
        run.check_stage("sample", pipeline, facts)
        for shard in run.table("prompts").shards():
            if run.is_done("sample", shard):
                continue
            with run.journal("sample", shard) as journal:
                for record in journal.replay(): ...       # paid for by an earlier start
                for results in ...: journal.append(...)   # durable as soon as it is finished
            finish_shard(run, "sample", shard, rows, rejects)
        run.set_stage("sample", state="done", counts=counts(run)["sample"])

Rows that an open shard already holds (`run.output(stage)`, `run.rejects(stage)`) count as finished
like those of the journal; a key may be in both after a crash. Nothing here imports pyarrow before a
shard is read or written.
"""
