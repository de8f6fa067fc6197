"""Draws the curves of a soak as SVG. Rule: the picture is made from the output's lines alone, so it can be drawn again at any time."""

from collections.abc import Sequence
from html import escape

from bench.soak.play import Minute
from bench.soak.verdict import FIGURES, series

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 960, 240, 60, 20, 40, 50
COLOURS = {"global": "#1f5fa8", "h1": "#b5451b", "h2": "#2d7d46"}
LINES = 4  # of the grid, across


def picture(minutes: Sequence[Minute]) -> str:
    """The SVG: a panel for each figure, a curve for each server."""
    panels = [_panel(name, series(minutes, figure), place * (HEIGHT + GAP)) for place, (name, figure) in enumerate(FIGURES.items())]
    height = len(panels) * (HEIGHT + GAP) + TOP
    style = "text{font:13px sans-serif;fill:#222}polyline{fill:none;stroke-width:1.5}line{stroke:#ddd}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
        f'<style>{style}</style><rect width="{WIDTH}" height="{height}" fill="#fff"/>{"".join(panels)}</svg>\n'
    )


def _panel(name: str, curves: dict[str, list[tuple[float, float]]], down: float) -> str:
    xs = [x for points in curves.values() for x, _ in points]
    most = max(y for points in curves.values() for _, y in points) * 1.1
    last = max(xs) or 1.0
    top, bottom = down + TOP, down + TOP + HEIGHT - GAP

    def across(x: float) -> float:
        return LEFT + x / last * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return bottom - y / most * (bottom - top)

    drawn = [f'<text x="{LEFT}" y="{top - 14}" font-weight="bold">{escape(name)}</text>']
    for number in range(LINES + 1):
        y = most * number / LINES
        drawn.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(y):.1f}" y2="{up(y):.1f}"/>')
        drawn.append(f'<text x="{LEFT - 8}" y="{up(y) + 4:.1f}" text-anchor="end">{y:.0f}</text>')
    minutes = sorted({round(last * part / 6) for part in range(7)})
    drawn += [f'<text x="{across(x):.1f}" y="{bottom + 18}" text-anchor="middle">{x} min</text>' for x in minutes]
    for place, (server, points) in enumerate(curves.items()):
        colour = COLOURS.get(server, "#555")
        line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        drawn.append(f'<polyline stroke="{colour}" points="{line}"/>')
        drawn.append(f'<text x="{WIDTH - 220 + 80 * place}" y="{top - 14}" style="fill:{colour}">{escape(server)}</text>')
    return "".join(drawn)
