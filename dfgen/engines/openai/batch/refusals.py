"""Words the errors of files of requests: each names what is concerned, and the way out."""

from __future__ import annotations

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Request
from dfgen.engines.openai.batch.form import LineError
from dfgen.engines.openai.batch.ledger import OutFile
from dfgen.errors import EngineError


def refuse_prefix(request: Request) -> None:
    """Raise `EngineError` for a request that goes on from a given beginning."""
    if request.prefix_ids or request.prefix_text:
        raise EngineError(
            "a batch cannot go on after the beginning of an answer.",
            where=f"request {request.key}",
            hint="Use `lane: online`, or `engine: vllm` with the same model.",
        )


def refuse_gone(out: OutFile, config: OpenAIConfig) -> EngineError:
    """Make the error of a batch that its provider has forgotten."""
    return EngineError(
        f"{config.batch.provider} does not know the batch {out.batch_id} any more, which took "
        f"{len(out.cells):,} requests at {out.since}.",
        hint="Providers delete batches after a while. Give the same command with --resubmit to "
        "hand its requests over again.",
    )


def refuse_mute(out: OutFile, unknown: int, config: OpenAIConfig) -> EngineError:
    """Make the error of a batch that is said to be done, and whose results are of nothing asked."""
    return EngineError(
        f"the batch {out.batch_id} is done, and what {config.batch.provider} hands out as its "
        f"results ({unknown:,} lines) answers none of its {len(out.cells):,} requests.",
        where=out.name,
        hint="Nothing is asked again, since it may be paid for: the same command looks again. To "
        "give the batch up and pay for its requests again: the same command with --resubmit.",
    )


def refuse_failed(out: OutFile, errors: tuple[LineError, ...], config: OpenAIConfig) -> EngineError:
    """Make the error of a batch that was refused as a whole: it names the line."""
    first = errors[0] if errors else LineError(None, "", "no reason given")
    line = f"line {first.line} of {out.name}" if first.line is not None else out.name
    cell = ""
    if first.line is not None and 0 < first.line <= len(out.cells):
        cell = f", request {out.cells[first.line - 1]}"
    said = ": ".join(filter(None, (first.code, first.message)))
    more = f" (and {len(errors) - 1:,} more)" if len(errors) > 1 else ""
    return EngineError(
        f"the batch failed its provider's checks: {said}{more}.",
        where=f"{line}{cell}",
        hint=f"Check `model` ({config.model!r}) and `extra_body`. Nothing of it was worked on; the "
        "same command sends its requests again.",
    )


def refuse_to_guess(out: OutFile, config: OpenAIConfig) -> EngineError:
    """Make the error of a file of which nobody can tell whether it was taken."""
    return EngineError(
        f"{len(out.cells):,} requests were being handed over at {out.since}, and nobody can tell "
        f"whether {config.batch.provider} has taken them: it has no list in which their name "
        "stands.",
        where=out.name,
        hint="Look at the provider's own page. If they are not there, or may be paid for twice: "
        "give the same command with --resubmit.",
    )
