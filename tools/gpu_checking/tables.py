"""The tables of docs/performance.md, from the results of tools/gpu-check."""


def cell(value):
    if value is None:
        return "not to be had"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return "\n".join(lines)


def peer_cells(row):
    """How many times longer than ours the peers take stands beside them."""
    ours = row["cuda_us"]
    cells = [row["shape"], ours]
    for key in "cublas_graph_us", "cublas_graph_device_us", "torch_cuda_us", "fused_us":
        value = row[key]
        cells.append(f"{value:.1f} ({value / ours:.1f}x)" if value is not None and ours else value)
    return cells


def tables(found):
    """One text of everything that the results have figures of."""

    def rows(begin):
        return [row for name, result in found.items() if name.startswith(begin) for row in result.get("rows", [])]

    machine = found.get("machine", {})
    parts = [f"{machine.get('device') or 'a machine that is not known'}; tools/gpu-check, build "
             f"{next(iter(found.values()))['build']}"]  # fmt: skip
    for title, heads, keys, begin in (
        ("A step on the device, microseconds", ["task", "path", "schedule", "agents", "fit at once", "one", "all"],
         ["task", "path", "schedule", "agents", "fit", "one_us", "all_us"], "device_"),
        ("Host to host, microseconds", ["task", "path", "update p50", "p99", "observation to action p50", "p99"],
         ["task", "path", "update_p50", "update_p99", "action_p50", "action_p99"], "host_"),
    ):  # fmt: skip
        figures = rows(begin)
        if figures:
            parts.append(f"{title}\n\n{table(heads, [[row[key] for key in keys] for row in figures])}")
    figures = rows("peers_")
    if figures:
        heads = ["shape", "fused, GPU", "cuBLAS in graphs", "its device alone", "PyTorch in graphs", "fused, one CPU core"]
        parts.append(f"Beside its peers, microseconds\n\n{table(heads, map(peer_cells, figures))}")
    said = [[name, result["said"]] for name, result in found.items() if "said" in result]
    if said:
        parts.append(f"What was checked\n\n{table(['stage', 'what it said'], said)}")
    return "\n\n".join(parts)
