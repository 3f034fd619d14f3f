"""Checks the first rows of the source: can they be read, and may they be asked?

The rows are made into prompts as the prompts stage does it, so a wrong column, a missing folder of
pictures or answers that are none of the choices show here, with an example.
"""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.check.finding import Finding, Level, describe_error
from dfgen.check.scope import Scope
from dfgen.errors import DfgenError, RowError
from dfgen.reasons import find_reason
from dfgen.reasons.tally import ReasonTally
from dfgen.stages.screening import Screening


def check_rows(scope: Scope) -> Iterator[Finding]:
    """Find what is wrong with the first rows."""
    section = scope.pipeline.kind.replace("sampled", "prompts").replace("imported", "imports")
    try:
        rows = scope.rows
    except DfgenError as error:
        yield describe_error(error, _find_setting(error, section, scope))
        return
    if rows.refused.total:
        yield _judge(rows.refused, rows.read, section, new=rows.new)
    if "sample" not in scope.stages or not rows.prompts:
        return
    try:
        screened = _screen(scope)
    except DfgenError:  # a tokenizer that cannot be loaded has a finding of its own
        return
    if screened.total:
        yield _judge(screened, len(rows.prompts), "policy", new=rows.new)


def _find_setting(error: DfgenError, section: str, scope: Scope) -> str | None:
    """The setting that names the file which an error is about; None: it is about no whole file."""
    path = getattr(getattr(scope.pipeline, section, None), "path", None)
    named = path if isinstance(path, list) else [path]
    return f"{section}.path" if error.where is not None and error.where in named else None


def _judge(refused: ReasonTally, read: int, section: str, *, new: bool) -> Finding:
    """Rejects are data, and the rows after these may be others; not one good row is an error,
    unless they are new in a run that has others."""
    (code, _), *_ = refused.rows.most_common(1)
    reason, none = find_reason(code), refused.total == read
    kind = "new rows" if new else "rows"
    rows = f"none of the first {read:,} {kind} became a prompt"
    if not none or new:
        rows = f"{refused.total:,} of the first {read:,} {kind} would be rejected"
    hint = refused.explain() + (f" {reason.remedy}" if reason else "")
    level: Level = "error" if none and not new else "warning"
    return Finding(level, f"{rows}: {refused.describe()}.", section, hint)


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
