"""What holds for every test."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Wall-clock deadlines fail on busy machines; CI bounds the whole run instead.
settings.register_profile("dfgen", deadline=None, print_blob=True)
# In CI the same examples every time, so that a red run is about the change; developers' machines
# go on looking for new ones.
settings.register_profile("ci", settings.get_profile("dfgen"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dfgen")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts a job in the background has it ignore Ctrl-C, and so do all of its children;
# tests that interrupt a process of theirs mean to be heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
