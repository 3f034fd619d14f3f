"""Defines section `prompts`: where questions and pictures come from."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dfgen.config.section import Section

AnswerType = Literal["auto", "math", "choice", "numeric", "text"]

#: Pillow warns of a decompression bomb above this size; pictures that dfgen accepts stay below it.
PILLOW_PIXELS = 1024**3 // 4 // 3


class Columns(Section):
    """Which column of the source holds what. A dotted name reaches into a struct (`qa.answer`)."""

    question: str = "question"
    """Text of the question, or a chat (list of messages) with one user turn. Placeholders such as
    `<image>` are kept out of the text; one inside a sentence becomes `[image 1]`."""
    images: str | list[str] | None = None
    """One picture or a list: bytes, {bytes, path}, a path relative to the source file, a data URL.
    A list of columns is read as one list of pictures, empty cells left out; an empty list means no
    pictures. Unset: `images`, else `image` (source folder: `file_names`, else `file_name`),
    whichever the row fills; a row with neither column is text only, unless its question is a chat
    that holds pictures."""
    answer: str = "answer"
    """Reference answer, what the grader compares with. Numbers become text (3.0 is `3`), true and
    false are `true` and `false`; of a list the first item counts."""
    choices: str | None = None
    """Options of a multiple-choice question: a list, {A: text, B: text}, {label: [], text: []}, or
    a list written as text."""
    solution: str | None = None
    """Reference solution, shown to the repairer when `repair.show_solution` is on."""
    answer_type: str | None = None
    """Names the grader row by row; otherwise `prompts.answer_type` holds for all."""
    precision: str | None = None
    """Number of decimals to which the row's reference answer is stated (MathVista's `precision`):
    an answer within half a unit of the last one is right. Rows without a number go by
    `grade.relative_tolerance` and `grade.absolute_tolerance`."""
    metadata: list[str] = Field(default_factory=list)
    """Columns carried along unchanged, as one JSON object; `mask.metadata` says which of them masks
    and exports hold, too."""
    id: str | None = None
    """Your own id of the row. It travels as `source_id` to trajectories, masks, exports and
    rejects, and `dfgen inspect RUN --id ID` finds it. A question without one, or with one that
    stood before, is a reject."""


class ImageLimits(Section):
    """What a picture may be. A picture outside the limits rejects its row."""

    max_pixels: int = Field(default=50_000_000, gt=0, le=PILLOW_PIXELS)
    """Width x height; guards against decompression bombs."""
    max_bytes: int = Field(default=50_000_000, gt=0)
    """Size of the encoded file."""
    min_side: int = Field(default=1, gt=0)
    """Pixels of the shorter side, at least. Many models refuse pictures below their patch (28)."""
    max_aspect: float = Field(default=200.0, ge=1)
    """Longer side / shorter side, at most. Qwen's processors refuse more than 200, and some servers
    end when they do."""
    min_per_prompt: int = Field(default=0, ge=0)
    """Pictures in one prompt of a source that has a picture column. 0: a question of text alone is
    none the worse; 1 rejects it."""
    max_per_prompt: int = Field(default=16, ge=0)
    """Pictures in one prompt."""
    stay_inside: bool | None = None
    """Refuse a path that leads out of the folder of the data (or `image_root`), links followed.
    Unset: on for `source: datasets`, whose paths strangers wrote; off for your own files."""


class SourceConfig(Section):
    """A source of rows with questions and pictures, and how its cells are read."""

    source: Literal["parquet", "jsonl", "csv", "folder", "datasets", "demo"] = "parquet"
    """parquet, jsonl and csv: files; folder: pictures with a metadata.jsonl or metadata.csv;
    datasets: a Hub id or a local path, streamed; demo: scenes drawn by rule."""
    path: str | list[str] | None = None
    """File, glob, folder, a list of these (parquet, jsonl and csv), or Hub id."""
    name: str | None = None
    """Configuration of a Hub data set."""
    split: str = "train"
    """Split of a Hub data set."""
    revision: str | None = None
    """Revision of a Hub data set."""
    columns: Columns = Columns()
    image_root: str | None = None
    """Folder that relative picture paths start from; unset: the folder of the source file."""
    answer_type: str = "auto"
    """Grader for rows that name none: auto, math, choice, numeric, text, the name of a
    dfgen.graders entry point, or package.module:function."""
    answer_index: Literal[0, 1] | None = None
    """The answer column holds the position of the right choice, counted from this number; it
    becomes the letter of that choice."""
    images: ImageLimits = ImageLimits()
    limit: int | None = Field(default=None, gt=0)
    """Read only the first rows."""
    max_row_bytes: int = Field(default=32_000_000, gt=0)
    """Length of one line of a JSONL or CSV file; a longer line of JSONL is rejected unread, one of
    CSV ends the reading. Reading a line takes up to 30 times its length of memory."""

    @property
    def is_foreign(self) -> bool:
        """Whether the rows are probably the work of strangers: a data set of the Hub."""
        return self.source == "datasets"

    @property
    def keeps_pictures_inside(self) -> bool:
        """Whether paths of pictures may not lead out of the folder of the data."""
        inside = self.images.stay_inside
        return self.is_foreign if inside is None else inside

    @model_validator(mode="after")
    def _require_path(self) -> Self:
        if self.source != "demo" and not self.path:
            raise ValueError(f"source {self.source!r} needs a path")
        if isinstance(self.path, list) and self.source in ("folder", "datasets"):
            raise ValueError(f"source {self.source!r} takes one path, not a list")
        if self.answer_index is not None and self.columns.choices is None:
            raise ValueError("answer_index needs columns.choices: it counts the choices")
        return self


class PromptsConfig(SourceConfig):
    """The prompts: a source, its columns and limits."""

    on_duplicate: Literal["reject", "error"] = "reject"
    """A row equal to an earlier one: goes to the rejects, or stops the run."""
    missing: Literal["keep", "drop"] | None = None
    """What becomes of prompts of a run that its source no longer has. keep: they stay, with all
    that was made of them. drop: they and all that was made of them are removed. Unset: keep. Those
    that it has with another solution, metadata, answer type or precision always stay. A source that
    has no prompt of the run at all is refused unless `keep` is set. Prompts that `limit` leaves
    unread are always kept.
    """
    count: int = Field(default=200, gt=0)
    """Number of scenes (source: demo only)."""
    seed: int = Field(default=0, ge=0)
    """Seed of the scenes (source: demo only)."""
    shard_size: int = Field(default=256, gt=0)
    """Prompts per shard file; a shard is what a worker takes and what is written at once."""
