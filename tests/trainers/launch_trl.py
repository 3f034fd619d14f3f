"""Runs in .venv-trl: starts a script in two processes on the CPU, as `accelerate launch` does.

python launch_trl.py PORT SCRIPT ...: prints what the script prints.
"""

from __future__ import annotations

import os
import sys

from accelerate.commands.launch import launch_command, launch_command_parser


def main(port: str, *command: str) -> None:
    # Its option for the CPU wants MPI; by this variable its launcher of GPU jobs takes the CPU.
    os.environ["ACCELERATE_USE_CPU"] = "true"
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port]
    launch_command(launch_command_parser().parse_args([*options, *command]))


if __name__ == "__main__":
    main(*sys.argv[1:])
