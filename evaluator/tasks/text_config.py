"""Which text a part is about: what the configurations of `lm` and `mlm` have in common."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator, model_validator

from evaluator.sources.hub import HUB
from evaluator.sources.text import BUILTIN, absolute_source, read_text
from evaluator.tasks.interface import Data, PartConfig

# What says where the text comes from, and not what it is; its bytes are in the fingerprint.
SOURCE_FIELDS = {"text", "column", "split", "megabytes"}


class TextConfig(PartConfig):
    """A text, and how long the sequences are that it is cut into."""

    text: str = Field(
        default="prose+python",
        description="prose, python, prose+python; a file or a folder, taken as it is; a JSONL, "
        "CSV, TSV or Parquet file or a folder of them; or hub:NAME or hub:NAME:CONFIGURATION, a "
        "data set of the Hugging Face hub",
    )
    column: str | None = Field(
        default=None,
        min_length=1,
        description="column of tables or of a data set that holds the text, `text` if left out; "
        "rows are joined by an empty line, empty ones left out",
    )
    split: str | None = Field(
        default=None,
        min_length=1,
        description="split of a data set of the hub, `train` if left out",
    )
    megabytes: float = Field(
        default=100,
        gt=0,
        le=100_000,
        description="millions of bytes that are read of the text, from its beginning; what comes "
        "after them is not used",
    )
    length: int = Field(default=128, ge=2, description="tokens of a training sequence")
    batch: int = Field(default=8, ge=1, description="sequences of a training step")
    held_out: int = Field(default=64, ge=1, description="sequences in the held-out set")

    @field_validator("text")
    @classmethod
    def _exists(cls, text: str, info: ValidationInfo) -> str:
        """In a file that a person wrote; a worker gets the data, not the path."""
        return absolute_source(text) if info.context is not None else text

    @model_validator(mode="after")
    def _fits_the_source(self) -> TextConfig:
        if self.split and not self.text.startswith(HUB):
            raise ValueError(
                f"`split` is for data sets of the hub, but got split={self.split}, "
                f"text={self.text}; leave it out or name a data set as {HUB}NAME"
            )
        if self.column and self.text in BUILTIN:
            raise ValueError(
                f"`column` is for tables and data sets, but got column={self.column}, "
                f"text={self.text}; leave it out or name a table"
            )
        return self

    @property
    def longest(self) -> int:
        return self.length

    def read(self) -> bytes:
        """The text, up to so many megabytes; ValueError, one sentence, where there is none."""
        most = round(self.megabytes * 1_000_000)
        return read_text(self.text, column=self.column, split=self.split, most=most)

    def check(self, data: Data, unit: str) -> None:
        """ValueError, one sentence, where a set is too short for a sequence or all one byte."""
        for what, tokens in (("training", data["train"]), ("held-out", data["held"])):
            if len(tokens) <= self.length:
                raise ValueError(
                    f"the text {self.text} leaves {len(tokens)} {unit} for the {what} set, but a "
                    f"sequence needs {self.length + 1}; give more text or a shorter length"
                )
        for what, tokens in (("training", data["train"]), ("held-out", data["held"])):
            if (tokens == tokens[0]).all():
                raise ValueError(
                    f"the text {self.text} leaves one and the same of all {unit} for the {what} "
                    f"set, so that there is nothing to predict; give another text"
                )
