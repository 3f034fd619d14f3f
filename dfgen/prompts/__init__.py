"""Reads questions, pictures and existing answers from files, folders and the Hub.

    source file -> SourceRow -> Prompt | Reject           read_prompts (reading.py)
                             -> (Prompt, answers)         read_trajectories (importing.py)

One file per kind of source (`parquet`, `jsonl`, `folder`, `hub`, `demo_scenes`), one per kind of
cell (`questions`, `answers`, `choices`, `image_cells`, `metadata`); `assembling` joins them.
"""
