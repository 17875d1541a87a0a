"""The page of the kernel benchmark: its rows, tables, verdicts and picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search_space import Kind, Pattern, SlidingWindow

EFFICIENCY_BARS, BYTES_BAR = (0.6, 0.55), 1.25  # hoped for: forward, both; peak over dense's
LEAST_SHARE = 0.003  # in the picture
PATTERN_HEADING = (
    "| n | pattern | pairs | forward | both | efficiency | forward masked | both masked | bytes |"
)
PAGE = Path(__file__).parents[1] / "docs" / "kernels.md"
PICTURE = PAGE.parent / "images" / "kernels.svg"


@dataclass(frozen=True)
class Row:
    """One pattern at one length: shares of dense attention's pairs, time and bytes."""

    pattern: Pattern
    kind: Kind
    length: int
    pairs: float
    forward: float
    both: float
    forward_masked: float | None  # SDPA given the mask
    both_masked: float | None
    over_masked: tuple[float, ...]  # lower ends of 95% intervals of the medians: own over masked
    bytes: float

    @property
    def efficiency(self) -> tuple[float, float]:
        """Speed per attended pair, forward and both; 1 is that of dense."""
        return self.pairs / self.forward, self.pairs / self.both

    @property
    def slower_than_mask(self) -> bool:
        """By more than chance: the two alternate in one loop, and are compared round by round."""
        return any(ratio > 1 for ratio in self.over_masked)


def pattern_line(row: Row) -> str:
    """Markdown cells of a row."""
    masked = [f"{x:.2f}" if x else "" for x in (row.forward_masked, row.both_masked)]
    cells = [
        str(row.length),
        row.pattern.describe(),
        *(f"{x:.3f}" for x in (row.pairs, row.forward, row.both)),
        ", ".join(f"{x:.2f}" for x in row.efficiency),
        *masked,
        f"{row.bytes:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def bar_lines(rows: list[Row]) -> list[str]:
    """What was hoped for, and what is."""
    window = [row for row in rows if (row.length, row.pattern) == (4096, SlidingWindow(256))]
    lines = [
        f"- Efficiency at n=4096, window 256, {row.kind}: {row.efficiency[0]:.2f} forward and "
        f"{row.efficiency[1]:.2f} both; hoped for {EFFICIENCY_BARS[0]} and {EFFICIENCY_BARS[1]}."
        for row in window
    ]
    slow = [row for row in rows if row.slower_than_mask and row.length >= 512]
    heavy = [row for row in rows if row.bytes > BYTES_BAR and row.length == 4096]
    for bar, missing in (
        ("No pattern is slower than SDPA with its mask from n=512 on, by more than chance", slow),
        (f"A layer's peak bytes at n=4096 are at most {BYTES_BAR} of dense's", heavy),
    ):
        who = "; ".join(f"{row.pattern.describe()}, {row.kind}, n={row.length}" for row in missing)
        lines.append(f"- {bar}: {f'missed by {who}' if missing else 'met'}.")
    return lines


def draw(rows: list[Row]) -> None:
    """Share of time against share of pairs; on the line a pair costs what it costs dense."""
    import altair as alt  # nothing that is measured needs it

    ways = ("forward", "forward + backward")
    points = [
        {
            "pattern": row.pattern.name,
            "n": row.length,
            "pairs": row.pairs,
            "time": share,
            "way": way,
        }
        for row in rows
        for way, share in zip(ways, (row.forward, row.both), strict=True)
        if row.kind == "causal" and row.length >= 1024
    ]
    even = [{"pairs": at, "time": at, "way": way} for way in ways for at in (LEAST_SHARE, 1)]
    scale, ticks = alt.Scale(type="log", domain=[LEAST_SHARE, 1.5]), [0.01, 0.03, 0.1, 0.3, 1]
    x = alt.X("pairs:Q", title="share of attended pairs", scale=scale).axis(values=ticks)
    y = alt.Y("time:Q", title="share of dense attention's time", scale=scale).axis(values=ticks)
    line = alt.Chart().mark_line(color="#6b7280", strokeDash=[4, 4]).encode(x, y)
    line = line.transform_filter("!isValid(datum.pattern)")
    marks = alt.Chart().mark_point(filled=True, size=70, opacity=0.85).encode(
        x,
        y,
        color=alt.Color("pattern:N").scale(scheme="tableau10"),
        shape=alt.Shape("n:O", title="tokens"),
    ).transform_filter("isValid(datum.pattern)")  # fmt: skip
    both = alt.layer(line, marks, data=alt.Data(values=[*points, *even]))
    chart = both.properties(width=330, height=330).facet(column=alt.Column("way:N").title(None))
    chart.configure(background="white").save(PICTURE)


def fill(page: Path, tables: Mapping[str, list[str]]) -> None:
    """Put lines below each marker of a page, in place of all up to the next empty line."""
    text = page.read_text()
    for name, lines in tables.items():
        before, found, after = text.partition(f"<!-- {name} -->\n")
        if not found:
            raise ValueError(f"{page} has no marker for the table {name}")
        _, _, rest = after.partition("\n\n")
        text = "\n".join([before + found[:-1], *lines, "", rest])
    page.write_text(text)


def table(heading: str, lines: list[str]) -> list[str]:
    """Markdown rows below their heading."""
    return [heading, "|" + "---|" * (heading.count("|") - 1), *lines]
