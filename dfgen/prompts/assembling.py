"""Makes a prompt of one row of a source: question, pictures, options, reference answer."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import get_args

from dfgen.config.imports import ImportColumns
from dfgen.config.prompts import AnswerType, Columns, SourceConfig
from dfgen.errors import ConfigError, RowError
from dfgen.prompts import demo_scenes
from dfgen.prompts.answers import read_answer, read_precision, read_solution, write_value
from dfgen.prompts.choices import find_answer_letter, mark_choices, read_choices
from dfgen.prompts.columns import get_value
from dfgen.prompts.identity import make_prompt_id, read_source_id
from dfgen.prompts.image_cells import PictureReader, find_pictures
from dfgen.prompts.metadata import write_metadata
from dfgen.prompts.questions import (
    check_placeholders,
    count_placeholders,
    has_placeholder,
    mark_placeholders,
    read_question,
    replace_placeholders,
)
from dfgen.prompts.rows import SourceRow
from dfgen.records import Prompt

_SHOWN = 80


class PromptAssembler:
    """Turns rows into prompts, as the columns and limits of a source say.

    Raises:
        ConfigError: `answer_type` names no grader.
    """

    def __init__(self, config: SourceConfig) -> None:
        self._config = config
        self._columns = config.columns
        if config.source == "demo":
            self._columns = Columns(answer_type="answer_type", metadata=demo_scenes.METADATA)
        self._pictures = PictureReader(config)
        installed = entry_points(group="dfgen.graders").names
        self._answer_types = {*get_args(AnswerType), *installed}
        self._check_answer_type(config.answer_type, "answer_type")

    def assemble(self, row: SourceRow) -> Prompt:
        """Return the prompt of a row.

        Raises:
            RowError: the row cannot be used; the reasons are those of the readers of its cells.
            ConfigError: the row names an answer type that does not exist.
        """
        columns, values = self._columns, row.values
        text, in_chat = read_question(get_value(values, columns.question), columns.question)
        cells = find_pictures(row, self._config)
        self._check_count(in_chat if cells is None else cells, cells is not None, text)
        question = replace_placeholders(text)
        if not question:
            raise RowError("question_missing", "the question has no text beside its pictures")
        choices = read_choices(get_value(values, columns.choices))
        solution = read_solution(get_value(values, columns.solution))
        pictures = in_chat if cells is None else cells
        check_placeholders((text, *choices), solution, len(pictures))
        choices = mark_choices(choices, count_placeholders(text))
        answer = read_answer(get_value(values, columns.answer), columns.answer)
        if self._config.answer_index is not None and choices:
            answer = find_answer_letter(answer, self._config.answer_index, choices)
        answer_type = self._read_answer_type(row)
        if choices and answer_type in {"auto", "choice"}:
            _check_choice(answer, choices)
        images, infos = self._pictures.read(pictures, row.folder)
        return Prompt(
            prompt_id=make_prompt_id(question, choices, answer, [info.sha256 for info in infos]),
            question=question,
            images=images,
            image_info=infos,
            choices=choices,
            answer=answer,
            answer_type=answer_type,
            solution=None if solution is None else mark_placeholders(solution),
            source=row.where,
            metadata=write_metadata({name: get_value(values, name) for name in columns.metadata}),
            precision=read_precision(get_value(values, columns.precision)),
            source_id=self._read_source_id(row),
        )

    def _read_source_id(self, row: SourceRow) -> str | None:
        # Imported rows are answers, several of which may share a prompt: their ids are not its own.
        if isinstance(self._columns, ImportColumns):
            return None
        return read_source_id(row.values, self._columns.id)

    def _check_count(self, cells: list[object], has_column: bool, text: str) -> None:
        least = self._config.images.min_per_prompt
        if not cells and not has_column and has_placeholder(text):
            raise RowError(
                "image_missing",
                "the question has a placeholder for a picture, and the row has none; name the"
                " picture column in columns.images",
                {"images": 0},
            )
        if len(cells) < least and has_column:
            raise RowError(
                "image_missing",
                f"the row has {len(cells)} pictures, fewer than images.min_per_prompt = {least};"
                " set the limit to 0 to keep rows of text",
                {"images": len(cells)},
            )

    def _read_answer_type(self, row: SourceRow) -> str:
        cell = get_value(row.values, self._columns.answer_type)
        try:
            name = write_value(cell) or self._config.answer_type
        except TypeError:
            name = repr(cell)[:_SHOWN]
        if ":" in name and self._config.is_foreign and name != self._config.answer_type:
            raise ConfigError(
                f"the row names a function of Python as its grader ({name[:_SHOWN]!r}); only your "
                "settings may name code that is to run.",
                where=f"{row.where}, column {self._columns.answer_type}",
                hint="If you trust it, set grade.grader to it, which holds for all rows.",
            )
        self._check_answer_type(name, f"{row.where}, column {self._columns.answer_type}")
        return name

    def _check_answer_type(self, name: str, where: str) -> None:
        # package.module:function is a user's own grader; the grade stage imports it.
        if name in self._answer_types or ":" in name:
            return
        raise ConfigError(
            f"there is no answer type {name[:_SHOWN]!r}.",
            where=where,
            hint=f"There are: {', '.join(sorted(self._answer_types))}, package.module:function.",
        )


def _check_choice(answer: str, choices: list[str]) -> None:
    """Every answer to a question whose reference is no choice would be graded wrong, and repaired.

    Raises:
        RowError: answer_no_choice.
    """
    from dfgen.grade.choice import check_reference

    problem = check_reference(answer, choices)
    if problem is not None:
        raise RowError("answer_no_choice", problem, {"answer": answer, "choices": choices})
