"""Gives OpenRLHF its executor: --train.agent_func_path $(python -m dfgen.trainers openrlhf)."""

from dfgen.trainers.openrlhf import AgentExecutor

__all__ = ["AgentExecutor"]
