"""Where questions and pictures come from.

    source file -> SourceRow -> Prompt | Reject           read_prompts (reading.py)
                             -> (Prompt, answers)         read_trajectories (importing.py)

One file per kind of source (`parquet`, `jsonl`, `folder`, `hub`, `demo_scenes`), one per kind of
cell (`questions`, `answers`, `choices`, `pictures`, `metadata`); `assembling` joins them.
"""
