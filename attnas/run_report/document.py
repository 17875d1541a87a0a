"""Document: what a report is made of, whatever it is written as."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as people read them; every row as long as the headings."""

    headings: list[str]
    rows: list[list[str]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture as SVG text, and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what is under it, in this order."""

    title: str
    sentences: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # below the tables
    text: str = ""  # a file as it is


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    written: str  # when and by which version
    sections: list[Section]
