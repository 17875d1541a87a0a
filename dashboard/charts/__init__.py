"""Charts: a data frame in, an Altair chart out. What is live or selectable is drawn here."""

from dashboard.charts.attention import attention_chart
from dashboard.charts.cache import cache_curve_chart
from dashboard.charts.curves import learning_chart
from dashboard.charts.fronts import fronts_chart
from dashboard.charts.intervals import interval_chart
from dashboard.charts.latency import latency_by_length_chart, latency_chart
from dashboard.charts.layers import layer_strip
from dashboard.charts.pareto import pareto_chart
from dashboard.charts.pattern import pattern_chart

__all__ = [
    "attention_chart",
    "cache_curve_chart",
    "fronts_chart",
    "interval_chart",
    "latency_by_length_chart",
    "latency_chart",
    "layer_strip",
    "learning_chart",
    "pareto_chart",
    "pattern_chart",
]
