"""Fetches the tokenizer files of a model on the Hub, or finds them in the Hub's local cache."""

from __future__ import annotations

from pathlib import Path

from dfgen.tokens.model_folder import NAMES


def fetch(repo_id: str, revision: str | None) -> Path | None:
    """Return the folder that holds the model's files of `NAMES`, all of one commit.

    Args:
        repo_id: `owner/name`, or anything else, which the Hub does not have.
        revision: branch, tag or commit; None: the main branch.

    Returns:
        None if the Hub does not have the model, its `tokenizer.json` or this revision, or cannot be
        reached: `transformers`, asked next, has the words for each case.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        first = Path(hf_hub_download(repo_id, NAMES[0], revision=revision))
        # The cache keeps files under snapshots/<commit>/.
        commit = first.parent.name
        for name in NAMES[1:]:
            if try_to_load_from_cache(repo_id, name, revision=commit) is not None:
                continue  # it is there, or known not to exist
            try:
                hf_hub_download(repo_id, name, revision=commit)
            except EntryNotFoundError as error:
                # A file that could not be asked for may exist; offline, what is here is all.
                if isinstance(error, LocalEntryNotFoundError) and not constants.HF_HUB_OFFLINE:
                    return None
    except (OSError, ValueError):  # the Hub's errors are of these kinds
        return None
    return first.parent
