"""Defines section `retokenize`: a run's masks for another tokenizer, for `dfgen retokenize`."""

from __future__ import annotations

from dfgen.config.section import Section


class RetokenizeConfig(Section):
    """Where the masks come from and which tokenizer they are for now."""

    path: str
    """A run directory, or a folder of mask files."""
    tokenizer: str
    """Directory or Hub id of the new tokenizer."""
