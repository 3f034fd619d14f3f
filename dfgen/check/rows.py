"""Checks the first rows of the source: can they be read, and may they be asked?

The rows are made into prompts as the prompts stage does it, so a wrong column, a missing folder of
pictures or answers that are none of the choices show here, with an example.
"""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.check.finding import Finding, describe_error
from dfgen.check.scope import Scope
from dfgen.errors import DfgenError, RowError
from dfgen.reasons import find_reason
from dfgen.reasons.tally import ReasonTally
from dfgen.stages.screening import Screening


def check_rows(scope: Scope) -> Iterator[Finding]:
    """Find what is wrong with the first rows."""
    try:
        rows = scope.rows
    except DfgenError as error:
        yield describe_error(error)
        return
    section = scope.pipeline.kind.replace("sampled", "prompts").replace("imported", "imports")
    if rows.refused.total:
        yield _judge(rows.refused, rows.read, section, scope)
    if "sample" not in scope.stages or not rows.prompts:
        return
    try:
        screened = _screen(scope)
    except DfgenError:  # a tokenizer that cannot be loaded has a finding of its own
        return
    if screened.total:
        yield _judge(screened, len(rows.prompts), "policy", scope)


def _judge(refused: ReasonTally, read: int, section: str, scope: Scope) -> Finding:
    allowed = scope.pipeline.max_reject_ratio
    (code, _), *_ = refused.rows.most_common(1)
    reason = find_reason(code)
    what = f"{refused.total:,} of the first {read:,} rows would be rejected: {refused.describe()}."
    if refused.total == read:
        what = f"none of the first {read:,} rows became a prompt: {refused.describe()}."
    hint = refused.explain() + (f" {reason.remedy}" if reason else "")
    is_error = refused.total == read or refused.total > allowed * read
    return Finding("error" if is_error else "warning", what, section, hint)


def _screen(scope: Scope) -> ReasonTally:
    """Count the prompts that the policy would not be asked. Raises `DfgenError`."""
    limit = getattr(scope.pipeline.policy, "max_image_bytes", None)
    screening, tally = Screening(scope.tokenizer.control_tokens, limit), ReasonTally()
    for prompt in scope.rows.prompts:
        try:
            screening.check(prompt)
        except RowError as error:
            tally.add(error.reason, prompt.source, error.detail, prompt.prompt_id)
    return tally
