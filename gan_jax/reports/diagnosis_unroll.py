"""The result of `gan-jax diagnose unroll` in words and figures."""

from __future__ import annotations

from typing import Any

from gan_jax.reports.figures import new_figure
from gan_jax.reports.text_tables import text_table


def sentence(result: dict[str, Any]) -> str:
    """The agreement of the derivatives at the largest K in a sentence; the cost there if they were not compared."""
    if result["accuracy"]:
        row = max(result["accuracy"], key=lambda row: row["num_steps"])
        text = (
            f"With K = {row['num_steps']} the exact gradient agrees with central differences to "
            f"{row['difference_error']:.1e} of its length"
        )
        if "first order" in row["cosine"]:
            text += f", and the first-order gradient has a cosine of {row['cosine']['first order']:+.4f} to it"
        return f"{text}."
    if result["cost"]:
        row = min(
            (row for row in result["cost"] if row["num_steps"] == max(r["num_steps"] for r in result["cost"])),
            key=lambda row: row["temporary_mb"],
        )
        return (
            f"With K = {row['num_steps']} a gradient takes at least {row['temporary_mb']:.1f} MB of temporaries, with "
            f"the memory option {row['memory']}."
        )
    return "Nothing was measured."


def table(result: dict[str, Any]) -> str:
    """A row for each K, and one for each K and memory option."""
    lines = [f"at step {result['step']:,}, on {result['device']}, jax {result['jax']}"]
    if result["accuracy"]:
        lines += ["", "derivatives, in float64"]
        names = list(dict.fromkeys(name for row in result["accuracy"] for name in row["cosine"]))
        rows = [["K", "|gradient|", "central differences", "forward mode", "finite in float32", *names]]
        for row in result["accuracy"]:
            shown = [
                f"{row['cosine'][name]:+.4f} x{row['norm_ratio'][name]:.3f}" if name in row["cosine"] else "-"
                for name in names
            ]
            numbers = [f"{row[name]:.2e}" for name in ("gradient_norm", "difference_error", "forward_error")]
            rows.append([str(row["num_steps"]), *numbers, "yes" if row["finite"] else "NO", *shown])
        lines.append(text_table(rows))
        lines.append("errors relative to |gradient|; estimators: cosine to the exact gradient, and relative length")
    if result["cost"]:
        lines += ["", f"cost of a gradient, median of {result['num_rounds']}"]
        rows = [["K", "memory", "ms", "temporaries, MB", "compile, s", "difference"]]
        rows += [
            [
                str(row["num_steps"]),
                row["memory"],
                "-" if row["seconds"] is None else f"{1e3 * row['seconds']:.1f}",
                f"{row['temporary_mb']:.1f}",
                f"{row['compile_seconds']:.1f}",
                "-" if row["difference"] is None else f"{row['difference']:.0e}",
            ]
            for row in result["cost"]
        ]
        lines.append(text_table(rows))
    return "\n".join(lines)


def figure(result: dict[str, Any]) -> Any:
    """Cosine to the exact gradient, memory and time against K.

    Raises:
        ValueError: if neither derivatives nor costs were measured.
    """
    if not result["accuracy"] and not result["cost"]:
        raise ValueError(
            "there is nothing to plot: compare derivatives (--directions) or time memory options (--memory)"
        )
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in result["accuracy"]:
        for name, value in row["cosine"].items():
            lines.setdefault("cosine to the exact gradient", {}).setdefault(name, []).append((row["num_steps"], value))
    for row in result["cost"]:
        lines.setdefault("temporaries, MB", {}).setdefault(row["memory"], []).append(
            (row["num_steps"], row["temporary_mb"])
        )
        if row["seconds"] is not None:
            lines.setdefault("a gradient, ms", {}).setdefault(row["memory"], []).append(
                (row["num_steps"], 1e3 * row["seconds"])
            )
    made = new_figure(4.2 * max(len(lines), 1), 3.8)
    for axes, (title, curves) in zip(made.subplots(1, len(lines), squeeze=False)[0], lines.items(), strict=True):
        for name, points in curves.items():
            axes.plot(*zip(*points, strict=True), "o-", markersize=4, label=name)
        axes.set(title=title, xlabel="K, unrolled updates of D", xscale="log")
        heights = [value for points in curves.values() for _, value in points]
        if "cosine" not in title:
            wide = max(heights) > 30 * min(heights)
            axes.set(yscale="log" if wide else "linear", ylim=(None if wide else 0, None))
        ticks = sorted({k for points in curves.values() for k, _ in points})
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    return made
