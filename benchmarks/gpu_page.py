"""The table of ``gpu.py`` as Markdown."""

from __future__ import annotations

from typing import Any

__all__ = ["format_line", "format_page"]

METHOD = """\
The four models of engines.py with initial weights. Every artifact is held against the bundle's golden vectors on the
device. Then, in one process, each contender's result is compared with ours, and all run in turn for many rounds, each
round a loop of calls of the autoencoder on the same samples; a call ends when its result is there (the device is
waited for). Samples and results stay in the device's memory, except for "host", which copies both. Times are medians
over rounds; columns give each contender's time relative to ours ("ours": tensors in by DLPack, a new tensor out), by
round. More than 1: slower than ours. TF32 is off for all. The limit is the longer one of: moving samples, results and
weights once at the bandwidth of a large copy on this device, and doing the multiply-adds at the rate of a large
float32 matrix product; the share is that time of ours, of its fastest form."""
OPEN = """\
**GPU figures are open**: no GPU was at hand. What follows is a run of the same script with ONNX Runtime's CPU
provider and small batches, on a machine that was busy with other work. It shows that the script runs and that all
contenders compute the same; it says nothing about GPUs, and its times are no figures of this CPU either. Limits are
left out: those of PyTorch's product on one thread are none for others."""


def format_line(row: dict[str, Any]) -> str:
    ratios = "  ".join(f"{name} {ratio:.2f}" for name, ratio in row["ratios"].items())
    return f"{row['device']:8} {row['model']:18} {row['batch']:6} {row['us']['ours']:10.1f} us  {ratios}"


def format_page(report: dict[str, Any]) -> str:
    open_figures = report["gpu_figures"] == "open"
    lines = ["# GPU: figures open" if open_figures else "# GPU", ""]
    lines += [OPEN, ""] if open_figures else []
    lines += [METHOD, "", "## Parity", "", *_parity_lines(report["parity"])]
    for device in dict.fromkeys(row["device"] for row in report["rows"]):
        lines += ["", f"## Speed on {device}" + (" (no GPU)" if device == "cpu" else ""), ""]
        if device != "cpu":
            lines += [_limits_line(report["limits"][device]), ""]
        lines += _speed_lines([row for row in report["rows"] if row["device"] == device])
    lines += ["", "Measured on:", "", *(f"- {key}: {value}" for key, value in report["machine"].items())]
    return "\n".join([*lines, ""])


def _limits_line(limits: dict[str, float]) -> str:
    bandwidth, rate = limits["bytes_per_second"], limits["multiply_adds_per_second"]
    return f"Limits measured: {bandwidth / 1e9:,.1f} GB/s, {rate / 1e9:,.0f} G multiply-adds/s."


def _parity_lines(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| model | device | precision | artifacts | pass | worst, of tolerance |", "|---|---|---|---|---|---|"]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["device"], row["precision"]), []).append(row)
    for (model, device, precision), group in groups.items():
        used = [row["of_tolerance"] for row in group if row["of_tolerance"] is not None]
        said = dict.fromkeys(row["error"].splitlines()[0] for row in group if row["error"])
        worst = "; ".join([*([f"{max(used):.2g}"] if used else []), *said])
        passed = sum(row["passed"] for row in group)
        lines.append(f"| {model} | {device} | {precision} | {len(group)} | {passed} | {worst} |")
    return lines


def _speed_lines(rows: list[dict[str, Any]]) -> list[str]:
    names, limited = list(rows[0]["ratios"]), rows[0]["device"] != "cpu"
    header = ["model", "batch", "ours, µs", *names, *(["share of limit"] if limited else [])]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        cells = [row["model"], f"{row['batch']:,}", f"{row['us']['ours']:,.1f}"]
        cells += [f"{row['ratios'][name]:.2f}" for name in names]
        cells += [f"{row['share_of_limit']:.1%} ({row['limit']})"] if limited else []
        lines.append("| " + " | ".join(cells) + " |")
    return lines
