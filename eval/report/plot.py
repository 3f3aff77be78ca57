"""The plot of a sweep as SVG: per metric the difference from the first setting, with its interval."""

from __future__ import annotations

from html import escape

from eval.intervals import Interval
from eval.report.table import COLUMNS, cell
from eval.sweep import Sweep, title

WIDTH, HEIGHT = 340, 210
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 34, 36  # margins


def panels(sweep: Sweep) -> str:
    """A panel a metric: a number (else the parameter with most values) along x, a line a choice of the others."""
    names = [name for name in sweep.settings[0] if len(_values(sweep, name)) > 1]
    if not names:
        return ""
    along = max(names, key=lambda name: (not isinstance(sweep.settings[0][name], str), len(_values(sweep, name))))
    others = [name for name in names if name != along]
    series: dict[str, list[int]] = {}
    for index, setting in enumerate(sweep.settings):
        series.setdefault(title({name: setting[name] for name in others}), []).append(index)
    differences = sweep.differences()
    pictures = [
        _panel(sweep, metric, along, list(series.values()), [difference.get(metric) for difference in differences])
        for metric in COLUMNS
        if any(metric in difference for difference in differences)
    ]
    keys = "".join(
        f'<span class="key s{number % 6}">{escape(label)}</span>' for number, label in enumerate(series) if label
    )
    return (
        f"<p>Difference from {escape(title(sweep.settings[0]))}, mean over objects, with its paired interval; "
        f'up is better.</p><div class="keys">{keys}</div><div class="plots">{"".join(pictures)}</div>'
    )


def _values(sweep: Sweep, name: str) -> list[object]:
    return list(dict.fromkeys(setting[name] for setting in sweep.settings))


def _panel(sweep: Sweep, metric: str, along: str, series: list[list[int]], intervals: list[Interval | None]) -> str:
    words, digits, more = COLUMNS[metric]
    values = _values(sweep, along)
    ends = [0.0]
    for interval in intervals:
        if interval is not None:
            ends += [interval.mean, *(end for end in (interval.low, interval.high) if end is not None)]
    ticks = _ticks(min(ends), max(ends))
    low, high = min(*ticks, *ends), max(*ticks, *ends)

    def across(value: object, shift: float = 0) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (values.index(value) + 0.5) / len(values) + shift

    def up(y: float) -> float:
        share = (y - low) / ((high - low) or 1)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share if more else share)

    base = cell(sweep.results[0].means, metric)
    shapes = [f'<text x="{LEFT}" y="16" class="name">{escape(words)} <tspan>first: {base}</tspan></text>']
    for tick in ticks:
        kind = "zero" if tick == 0 else "tick"
        shapes.append(f'<path class="{kind}" d="M{LEFT} {up(tick):.1f}H{WIDTH - RIGHT}"/>')
        number = f"{tick:+.{_places(ticks)}f}" if tick else "0"
        shapes.append(f'<text x="{LEFT - 6}" y="{up(tick) + 3.5:.1f}" class="y">{number}</text>')
    for value in values:
        shapes.append(f'<text x="{across(value):.1f}" y="{HEIGHT - 17}" class="x">{escape(str(value))}</text>')
    shapes.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 5}" class="along">{escape(along)}</text>')
    for place, members in enumerate(series):
        shift = 5 * (place - (len(series) - 1) / 2)
        points = []
        for index in members:
            interval, x = intervals[index], across(sweep.settings[index][along], shift)
            if interval is None:
                continue
            points.append(f"{x:.1f} {up(interval.mean):.1f}")
            label = f"{title(sweep.settings[index])}: {cell(sweep.results[index].means, metric)}"
            if interval.low is not None and interval.high is not None:
                shapes.append(
                    f'<path class="bar s{place % 6}" d="M{x:.1f} {up(interval.low):.1f}V{up(interval.high):.1f}"/>'
                )
                label += f" ({interval.ends(digits, ' to ')})"
            shapes.append(
                f'<circle class="s{place % 6}" cx="{x:.1f}" cy="{up(interval.mean):.1f}" r="3.5">'
                f"<title>{escape(label)}</title></circle>"
            )
        shapes.append(f'<path class="line s{place % 6}" d="M{"L".join(points)}"/>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(words)}">{"".join(shapes)}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers around an interval that holds zero."""
    span = max(high - low, 1e-9)
    step = 10.0**-12
    for exponent in range(-8, 6):
        for factor in (1, 2, 5):
            if span / (factor * 10.0**exponent) <= 4:
                step = factor * 10.0**exponent
                first, last = int(low // step), int(-(-high // step))
                return [round(k * step, 10) for k in range(first, last + 1)]
    return [0.0, step]


def _places(ticks: list[float]) -> int:
    step = ticks[1] - ticks[0]
    return next(places for places in range(10) if abs(round(step, places) - step) < 1e-9)
