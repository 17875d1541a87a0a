"""Pictures: the front as the dashboard draws it, as SVG that needs no script."""

from __future__ import annotations

import pandas as pd
import vl_convert

from attnas.run_report.document import Figure
from dashboard.charts import pareto_chart
from dashboard.frames.designs import words
from dashboard.frames.points import front_points, step_line
from dashboard.frames.quantities import quantity
from dashboard.look import LIGHT
from results import Noise, Run

WIDTH, HEIGHT = 460, 320


def pictures(run: Run, report: pd.DataFrame, noise: Noise) -> list[Figure]:
    """The first objective against each of the others."""
    first, *others = run.objectives
    y = quantity(first.column, report, run.objectives)
    found = []
    for other in others:
        x = quantity(other.column, report, run.objectives)
        points, _ = front_points(report, noise, x, y, (False, False))
        if points.empty:
            continue
        texts = report.set_index("trial")["design"]
        points["words"] = [words(str(texts[trial])) for trial in points["trial"]]
        steps = step_line(points, x, y)
        chart = pareto_chart(points, steps, x, y, log=(False, False), selected=None, colours=LIGHT)
        chart = chart.properties(width=WIDTH, height=HEIGHT)
        found.append(Figure(vl_convert.vegalite_to_svg(chart.to_dict()), f"{y.title} by {x.title}"))
    return found
