"""The version of dfgen and the name it is installed by; importing this imports nothing else."""

VERSION = "0.1.0"

DISTRIBUTION = "dfgen-masks"
"""What pip calls this project. The package and the command are called `dfgen`; on PyPI that name
belongs to another project."""

UPDATE_HINT = f"Update dfgen (pip calls it {DISTRIBUTION}): git pull; pip install . in its clone."
"""What to do where a newer dfgen is needed."""
