"""Written: a document as one HTML file that needs nothing else, or as Markdown."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from attnas.run_report.document import Document, Section, Table


def as_html(document: Document) -> str:
    """Pictures inside, no script; whatever a run's names hold is shown as text."""
    source = files("attnas.run_report").joinpath("report.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    return template.render(document=document, drawn=Markup)


def as_markdown(document: Document) -> str:
    """The same without the pictures, which HTML has."""
    lines = [f"# {_plain(document.title)}", "", document.written, ""]
    for section in document.sections:
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> list[str]:
    lines = [f"## {section.title}", ""]
    lines += [line for sentence in section.sentences for line in (_plain(sentence), "")]
    for table in section.tables:
        lines += [*_table(table), ""]
    lines += [f"- {_plain(remark)}" for remark in section.remarks]
    if section.remarks:
        lines.append("")
    if section.text:
        lines += [*(f"    {line}" for line in section.text.splitlines()), ""]
    return lines


def _table(table: Table) -> list[str]:
    rows = [table.headings, ["---"] * len(table.headings), *table.rows]
    return ["| " + " | ".join(_plain(text) for text in row) + " |" for row in rows]


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is within a line or a table's cell."""
    for mark in ("\\", "|", "*", "_", "<", "[", "`"):
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())
