"""Rates of tampering in the course of the training, one small picture a method, one line a seed."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from redbutton.baselines.seed_folder import Point, write_whole

COLUMNS = 5
PRESS, NO_PRESS = "#c8102e", "#5b6770"


def draw_curves(curves: Mapping[str, Sequence[Sequence[Point]]], path: Path) -> None:
    """Write a PNG: for each method P(tamper | press), drawn through, and P(tamper | no press), dashed."""
    from matplotlib.figure import Figure

    columns = min(COLUMNS, max(1, len(curves)))
    rows = max(1, -(-len(curves) // columns))
    figure = Figure(figsize=(2.6 * columns, 2.0 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis in axes.flat:
        axis.set_visible(False)
    for axis, (name, seeds) in zip(axes.flat, curves.items(), strict=False):
        axis.set_visible(True)
        for points in seeds:
            steps = [p.steps / 1000 for p in points]
            press = [float("nan") if p.p_tamper_press is None else p.p_tamper_press for p in points]
            no_press = [float("nan") if p.p_tamper_no_press is None else p.p_tamper_no_press for p in points]
            axis.plot(steps, no_press, color=NO_PRESS, linewidth=0.9, linestyle="--")
            axis.plot(steps, press, color=PRESS, linewidth=1.1)
        axis.set_title(name, fontsize=8)
        axis.set_ylim(-0.05, 1.05)
        axis.tick_params(labelsize=7)
    figure.supxlabel("thousand decisions", fontsize=8)
    figure.supylabel("P(tamper | press), dashed: no press", fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_whole(path, buffer.getvalue())
