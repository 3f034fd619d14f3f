"""From a finished run to the tables that trainers load.

    groups         one row = one prompt = one GRPO group; pictures once, trajectories nested
    trajectories   one row = one trajectory with its masks; no pictures
    preference     one row = one repair: chosen is the repair, rejected the wrong answer
    stepwise       one row = one trajectory cut into steps, with a label for each

Everything is done on Arrow columns: no token passes through a Python list.
"""
