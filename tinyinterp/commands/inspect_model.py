"""`tinyinterp inspect`: what is in a model, and what running it takes."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from typing import Any

import numpy as np

from ..arena import Placement, place
from ..errors import TinyInterpError
from ..graph import Graph, link
from ..lives import lives_of
from ..lower import Plan, lower
from ..schema import Model, Subgraph, Tensor, read


def run(args: argparse.Namespace) -> int:
    model = read(args.model)
    graph = link(model)
    plan = placement = refusal = None
    try:
        plan = lower(graph, {t: graph.tensors[t].shape for t in graph.inputs}, args.numerics, args.threads)
        placement = placed(graph, plan)
    except TinyInterpError as error:
        refusal = str(error)
    facts = describe(model, os.path.getsize(args.model), plan, placement, refusal)
    print(json.dumps(facts, indent=2, ensure_ascii=False) if args.json else as_text(args.model, facts))
    if args.plan and not args.json:
        print(f"\n{plan}")
    if args.arena and not args.json:
        print(f"\n{placement}")
    return 0


def placed(graph: Graph, plan: Plan) -> Placement:
    """Where the tensors of a plan lie while it runs, as `Program` places them."""
    variables = {t for t, tensor in enumerate(graph.tensors) if tensor.is_variable}
    return place(lives_of(plan, frozenset({*graph.inputs, *graph.outputs, *variables})))


def describe(model: Model, size: int, plan: Plan | None, placement: Placement | None, refusal: str | None) -> dict[str, Any]:
    """Everything as plain dictionaries, lists, strings and numbers: what --json prints."""
    main = model.subgraphs[0]
    return {
        "bytes": size,
        "version": model.version,
        "description": model.description,
        "inputs": [tensor_facts(main, t) for t in main.inputs],
        "outputs": [tensor_facts(main, t) for t in main.outputs],
        "subgraphs": [{"name": s.name, "tensors": len(s.tensors), "operators": len(s.operators)} for s in model.subgraphs],
        "operators": dict(Counter(o.name for s in model.subgraphs for o in s.operators).most_common()),
        "constants": _constants(model),
        "runs": None if plan is None or placement is None else {
            "numerics": plan.numerics,
            "steps": len(plan.steps),
            "macs": plan.macs,
            "arena_bytes": placement.size,
            "widest_step_bytes": placement.bound,
            # More steps come once a run has told a shape that no file holds.
            "waits_for_values": plan.cut is not None,
        },
        "refused": refusal,
        "signatures": [{"key": s.key, "subgraph": s.subgraph, "inputs": s.inputs, "outputs": s.outputs}
                       for s in model.signatures],
        "metadata": [{"name": m.name, "bytes": len(model.buffers[m.buffer])} for m in model.metadata],
    }


def tensor_facts(part: Subgraph, t: int) -> dict[str, Any]:
    """One tensor."""
    tensor: Tensor = part.tensors[t]
    q = tensor.quantization
    facts: dict[str, Any] = {"tensor": t, "name": tensor.name, "type": tensor.type.name.lower(), "shape": list(tensor.shape)}
    if tensor.shape_signature is not None and tensor.shape_signature != tensor.shape:
        facts["shape_signature"] = list(tensor.shape_signature)
    if len(q.scale):
        facts["scale"] = [float(s) for s in q.scale]
        facts["zero_point"] = [int(z) for z in q.zero_point]
    return facts


def _constants(model: Model) -> dict[str, Any]:
    """Tensors with stored values by type; a buffer that several tensors share counts once."""
    seen: set[int] = set()
    types: dict[str, dict[str, int]] = {}
    for part in model.subgraphs:
        for tensor in part.tensors:
            if tensor.buffer in seen or not tensor.buffer or not len(model.buffers[tensor.buffer]):
                continue
            seen.add(tensor.buffer)
            entry = types.setdefault(tensor.type.name.lower(), {"buffers": 0, "bytes": 0})
            entry["buffers"] += 1
            entry["bytes"] += len(model.buffers[tensor.buffer])
    return dict(sorted(types.items(), key=lambda item: -item[1]["bytes"]))


def as_text(path: str, facts: dict[str, Any]) -> str:
    """The same facts for a reader."""
    text = f", {facts['description']!r}" if facts["description"] else ""
    lines = [f"{path}: {facts['bytes']:,} bytes, format version {facts['version']}{text}"]
    for side in ("inputs", "outputs"):
        lines += [f"{side[:-1]:>10}  {_tensor_line(t)}" for t in facts[side]]
    if len(facts["subgraphs"]) > 1:
        lines += [f"{'subgraph':>10}  {i} {s['name']!r}: {s['tensors']} tensors, {s['operators']} operators"
                  for i, s in enumerate(facts["subgraphs"])]
    total = sum(facts["operators"].values())
    lines.append(f"{'operators':>10}  {total}: " + ", ".join(f"{n} x {name}" for name, n in facts["operators"].items()))
    for kind, entry in facts["constants"].items():
        lines.append(f"{'constants':>10}  {kind}: {entry['bytes']:,} bytes in {entry['buffers']} buffers")
    if (runs := facts["runs"]) is not None:
        more = ", then more once values are known" if runs["waits_for_values"] else ""
        lines.append(f"{'steps':>10}  {runs['steps']}, {runs['macs']:,} MACs, {runs['numerics']} numerics{more}")
        lines.append(f"{'arena':>10}  {runs['arena_bytes']:,} bytes; the widest step needs {runs['widest_step_bytes']:,}")
    else:
        lines.append(f"{'refused':>10}  " + facts["refused"].replace("\n", "\n" + " " * 12))
    for s in facts["signatures"]:
        lines.append(f"{'signature':>10}  {s['key']}({', '.join(s['inputs'])}) -> {', '.join(s['outputs'])}")
    lines += [f"{'metadata':>10}  {m['name']}: {m['bytes']:,} bytes" for m in facts["metadata"]]
    return "\n".join(lines)


def _tensor_line(t: dict[str, Any]) -> str:
    line = f"{t['name']!r}, tensor {t['tensor']}: {t['type']}{t['shape']}"
    if "shape_signature" in t:
        line += f", may be {str(t['shape_signature']).replace('-1', '?')}"
    if len(t.get("scale", ())) == 1:
        line += f", real = {np.float32(t['scale'][0])!s} * (q - {t['zero_point'][0] if t['zero_point'] else 0})"
    elif "scale" in t:
        line += f", {len(t['scale'])} scales"
    return line
