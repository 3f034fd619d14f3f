"""Files that trainers load by path; each only registers what `dfgen.trainers` holds.

They lie in a folder of their own because a trainer may put the folder of such a file first on
`sys.path`, where `dfgen/trainers/swift.py` would hide the trainer itself.
"""
