"""The shipped networks through torch, torch with batch norm folded, OpenVINO and ONNX Runtime.

    python -m benchmarks.runtimes [--threads N] [--repeat N]

Runtimes that are not installed (openvino; onnxruntime with onnx) are left out. A line for each network and runtime:

  NETWORK RUNTIME PRECISION: M ms a tile or crop, output apart by A from torch in float32

M is the median of several; A is the mean difference of the first output, whatever its unit. Networks see noise of the
size that `gloinone run` gives them; no slide is read.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import gloinone.classification.build
import gloinone.classification.predict
import gloinone.detection.build
import gloinone.segmentation.build
import gloinone.segmentation.predict
from gloinone.learning.device import has_fast_bf16
from gloinone.weights.card import Task, read_card
from gloinone.weights.store import find_model, load_state, model_dirs

BUILDERS: dict[Task, tuple[Any, int]] = {
    "detector": (gloinone.detection.build, 1),
    "classifier": (gloinone.classification.build, gloinone.classification.predict.BATCH),
    "segmenter": (gloinone.segmentation.build, gloinone.segmentation.predict.BATCH),
}
"""What builds each network, and how many tiles or crops it is given at once."""

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Way:
    """One way to compute a network."""

    runtime: str
    precision: str
    forward: Forward


def shipped(task: Task) -> tuple[nn.Module, Tensor]:
    """The network of that task with its weights, and (B, 3, E, E) uint8 noise."""
    builder, batch = BUILDERS[task]
    paths = find_model(task, task, model_dirs())
    card = read_card(paths.card)
    network = builder.build_network(card)
    network.load_state_dict(load_state(paths, card))
    noise = torch.randint(0, 256, (batch, 3, card.edge_px, card.edge_px), dtype=torch.uint8)
    return network.eval().float().to(memory_format=torch.channels_last), noise


def folded(network: nn.Module) -> nn.Module:
    """In place: each batch norm that directly follows a convolution goes into its weights."""
    for module in list(network.modules()):
        children = list(module.named_children())
        for (name, one), (name_after, after) in pairwise(children):
            if isinstance(one, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(one, after))
                setattr(module, name_after, nn.Identity())
    return network


def by_torch(network: nn.Module, bf16: bool) -> Forward:
    """As `gloinone run` computes it, or in float32."""

    def forward(x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return first(network(x))

    return forward


def by_openvino(network: nn.Module, example: Tensor, bf16: bool, threads: int) -> Forward:
    """Compiled for this processor."""
    import openvino

    with torch.inference_mode():
        model = openvino.convert_model(network, example_input=example)
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    return lambda x: torch.from_numpy(next(iter(request.infer([x.numpy()]).values())).copy())


def by_onnxruntime(network: nn.Module, example: Tensor, threads: int) -> Forward:
    """In float32: it has no bfloat16 on processors."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.onnx")
        torch.onnx.export(network, (example,), file, dynamo=False, input_names=["x"], opset_version=17)
        session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def first(output: Any) -> Tensor:
    """The first of what a network returns, float32."""
    while not isinstance(output, Tensor):
        output = output[0]
    return output.float()


def ways(task: Task, example: Tensor, threads: int) -> Iterator[Way]:
    """Every way there is on this machine; float32 of torch first."""
    precisions = (False, True) if has_fast_bf16() else (False,)
    for bf16 in precisions:
        name = "bfloat16" if bf16 else "float32"
        yield Way("torch", name, by_torch(shipped(task)[0], bf16))
        yield Way("torch, batch norm folded", name, by_torch(folded(shipped(task)[0]), bf16))
        if _installed("openvino"):
            yield Way("openvino", name, by_openvino(shipped(task)[0], example, bf16, threads))
    if _installed("onnxruntime", "onnx"):
        yield Way("onnxruntime", "float32", by_onnxruntime(shipped(task)[0], example, threads))


def _installed(*names: str) -> bool:
    return all(importlib.util.find_spec(name) for name in names)


def seconds(way: Way, x: Tensor, repeat: int) -> float:
    """Median of one call, the first left out."""
    way.forward(x)
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        way.forward(x)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Prints a line for each network and runtime."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtimes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=1, help="of the processor (1)")
    parser.add_argument("--repeat", type=int, default=7, help="calls of which the median is taken (7)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    for task in BUILDERS:
        _, noise = shipped(task)
        plain = by_torch(shipped(task)[0], bf16=False)(noise)
        for way in ways(task, noise, given.threads):
            apart = (way.forward(noise).reshape(plain.shape) - plain).abs().mean().item()
            ms = 1000 * seconds(way, noise, given.repeat) / len(noise)
            print(
                f"{task} {way.runtime} {way.precision}: {ms:.1f} ms, output apart by {apart:.1e}", flush=True
            )


if __name__ == "__main__":
    main()
