"""Charts of a few lines each, on logarithmic scales, as SVG that follows the reader's light or dark mode."""

import math
from collections.abc import Iterable, Iterator
from html import escape

Series = dict[str, dict[float, float]]

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 34, 40
COLORS = ("#1f77b4", "#d95f02", "#1b9e77", "#a6569c", "#888888")
STYLE = """
text { font: 12px sans-serif; fill: #333 } .title { font-weight: bold } .axis { stroke: #999 } .grid { stroke: #ddd }
@media (prefers-color-scheme: dark) { text { fill: #ccc } .axis { stroke: #777 } .grid { stroke: #444 } }
"""


def decades(values: Iterable[float]) -> tuple[int, int]:
    """Return the powers of ten that values lie between."""
    known = [value for value in values if value > 0]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    return low, max(high, low + 1)


def panel(title: str, unit: str, series: Series, left: float) -> Iterator[str]:
    """Yield the elements of one chart."""
    x_low, x_high = decades(x for points in series.values() for x in points)
    y_low, y_high = decades(y for points in series.values() for y in points.values())
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> str:
        across = left + LEFT + (math.log10(x) - x_low) / (x_high - x_low) * width
        down = TOP + (1 - (math.log10(y) - y_low) / (y_high - y_low)) * height
        return f"{across:.1f},{down:.1f}"

    def line(kind: str, start: str, end: str) -> str:
        (x1, y1), (x2, y2) = start.split(","), end.split(",")
        return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'

    yield f'<text class="title" x="{left + LEFT}" y="18">{escape(title)}</text>'
    for power in range(y_low, y_high + 1):
        start = place(10**x_low, 10**power)
        x, y = start.split(",")
        yield line("grid" if power > y_low else "axis", start, place(10**x_high, 10**power))
        yield f'<text x="{float(x) - 6}" y="{float(y) + 4}" text-anchor="end">{10**power:g}</text>'
    yield line("axis", place(10**x_low, 10**y_low), place(10**x_low, 10**y_high))
    for power in range(x_low, x_high + 1):
        x, y = place(10**power, 10**y_low).split(",")
        yield f'<text x="{x}" y="{float(y) + 16}" text-anchor="middle">{10**power:g}</text>'
    yield f'<text x="{left + LEFT + width / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(unit)}</text>'
    for color, points in zip(COLORS, series.values(), strict=False):
        known = [(x, y) for x, y in points.items() if y > 0]
        path = " ".join(place(x, y) for x, y in known)
        yield f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{path}"/>'
        for x, y in (place(*point).split(",") for point in known):
            yield f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>'


def svg(panels: dict[str, Series], unit: str) -> str:
    """Return charts side by side, which share their lines' names."""
    labels = list(next(iter(panels.values())))
    width, height = WIDTH * len(panels), HEIGHT + 24
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">']
    lines.append(f"<style>{STYLE}</style>")
    for number, (title, series) in enumerate(panels.items()):
        lines += panel(title, unit, series, number * WIDTH)
    for number, (color, label) in enumerate(zip(COLORS, labels, strict=False)):
        x = LEFT + number * (width - LEFT) / len(labels)
        lines.append(f'<rect x="{x:.0f}" y="{HEIGHT + 8}" width="12" height="4" fill="{color}"/>')
        lines.append(f'<text x="{x + 18:.0f}" y="{HEIGHT + 14}">{escape(label)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
