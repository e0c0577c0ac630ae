"""Results: one line a figure, printed and kept for the table of `benches/run`."""

import json
import pathlib
import statistics


class Report:
    """Figures of one bench. Each is the median of its runs; `target` is a bound such as `≥ 3` or `< 300`."""

    def __init__(self, cache, bench):
        folder = pathlib.Path(cache) / "bench" / "results"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{bench}.jsonl"
        self._file.unlink(missing_ok=True)

    def add(self, what, values, unit, target=None):
        """Prints and keeps one figure."""
        median = statistics.median(values)
        row = {"what": what, "median": median, "low": min(values), "high": max(values), "runs": len(values), "unit": unit}
        if target:
            row |= {"target": target, "met": meets(median, target)}
        with self._file.open("a") as out:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(line(row), flush=True)
        return median


def meets(value, target):
    """Whether the value keeps the bound."""
    relation, bound = target.split()
    compare = {"≥": value >= float(bound), "≤": value <= float(bound), "<": value < float(bound), "=": value == float(bound)}
    return compare[relation]


def number(value):
    """Three or four digits are enough for people."""
    if value == int(value) and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def line(row):
    """A row of the table."""
    spread = f"{number(row['low'])} … {number(row['high'])}" if row["runs"] > 1 else ""
    verdict = {True: "met", False: "MISSED", None: ""}[row.get("met")]
    return f"{row['what']:<62} {number(row['median']):>10} {row['unit']:<12} {row.get('target', ''):<8} {verdict:<7} {spread}"


def table(cache):
    """All kept rows, bench by bench."""
    lines = []
    for file in sorted((pathlib.Path(cache) / "bench" / "results").glob("*.jsonl")):
        lines.append(f"-- {file.stem}")
        lines.extend(line(json.loads(row)) for row in file.read_text().splitlines())
    return "\n".join(lines)


def percentile(values, share):
    """The smallest value that is not exceeded by `share` of the values (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]
