"""peers_torch.py THREADS SECONDS SIDE MODEL.bin [published] [--input FILE.npy --output FILE.npy]: median time in ms of PyTorch for one
input, batch 1, in the fastest of a few ways to run it, and the peak memory of the process in MiB. DCLS layers are convolutions with
dense kernels, built once; with `published` they are built on every call, as the published package does.

With --input and --output one input goes through the network and nothing is measured."""
import argparse
import functools
import gc
import json
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F

from published import PublishedKernel


def load(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start = file.tell()
    data = np.memmap(path, np.uint8, "c", start)
    model = json.loads(header.pop("__metadata__")["dcls.model"])
    tensors = {}
    for name, t in header.items():
        low, high = t["data_offsets"]
        if t["dtype"] == "F32":
            tensors[name] = torch.from_numpy(data[low:high].view(np.float32).reshape(t["shape"]))
    return model, tensors


def pair(value):
    return list(value) if isinstance(value, list) else [value, value]


def convolution(node, t, published):
    weight = t[node["weight"]]
    options = {key: pair(node.get(key, default)) for key, default in (("stride", 1), ("padding", 0), ("dilation", 1))}
    bias, groups = t.get(node.get("bias")), node.get("groups", 1)
    if node["op"] == "conv":
        return lambda x: F.conv2d(x, weight, bias, groups=groups, **options)
    version, size, positions, spreads = node["version"], pair(node["dilated_kernel_size"]), t[node["P"]], t.get(node.get("SIG"))
    if published:
        learned = [p if p is None else p.requires_grad_() for p in (weight, positions, spreads)]
        kernel = PublishedKernel(version, size, *learned)
        return lambda x: F.conv2d(x, kernel(), bias, groups=groups, **options)
    parts = [slice(i, i + 16) for i in range(0, len(weight), 16)]  # all at once would take more memory than the network
    dense = torch.cat([PublishedKernel(version, size, weight[p], positions[:, p], spreads if spreads is None else spreads[:, p])()
                       for p in parts])
    return lambda x: F.conv2d(x, dense, bias, groups=groups, **options)


def operation(node, t, published):
    op = node["op"]
    if op in ("conv", "dcls"):
        return convolution(node, t, published)
    weight, bias, eps = t.get(node.get("weight")), t.get(node.get("bias")), node.get("eps", 1e-5)
    if op == "layer_norm":
        def layer_norm(x):
            if x.dim() == 2:
                return F.layer_norm(x, x.shape[1:], weight, bias, eps)
            return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], weight, bias, eps).permute(0, 3, 1, 2)
        return layer_norm
    if op == "batch_norm":
        mean, var = t[node["running_mean"]], t[node["running_var"]]
        return lambda x: F.batch_norm(x, mean, var, weight, bias, eps=eps)
    if op == "layer_scale":
        return lambda x: x * weight.reshape(-1, 1, 1)
    if op == "linear":
        return lambda x: F.linear(x, weight, bias)
    if op == "global_avg_pool":
        flat = node.get("flatten", False)
        return lambda x: x.mean((2, 3), keepdim=not flat)
    if op == "global_max_pool":
        flat = node.get("flatten", False)
        return lambda x: x.amax((2, 3), keepdim=not flat)
    if op == "max_pool":
        side, stride, padding = (node.get(key) for key in ("kernel_size", "stride", "padding"))
        return lambda x: F.max_pool2d(x, side, stride, padding or 0)
    if op == "resize":
        return lambda x, like: F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
    simple = {"gelu": F.gelu, "relu": F.relu, "sigmoid": torch.sigmoid, "dropout": lambda x: x, "identity": lambda x: x,
              "add": torch.add, "mul": torch.mul, "concat": lambda *x: torch.cat(x, 1), "flatten": lambda x: x.flatten(1)}
    return simple[op]


class Network(torch.nn.Module):
    def __init__(self, path, published):
        super().__init__()
        model, tensors = load(path)
        self.output, self.channels = model["output"], model["input"]["channels"]
        self.steps = [(n["name"], n["inputs"], operation(n, tensors, published)) for n in model["nodes"]]
        self.last = {}  # value: the step that reads it last, after which it is freed
        for i, (_, inputs, _) in enumerate(self.steps):
            self.last.update(dict.fromkeys(inputs, i))

    def forward(self, x):
        values = {"input": x}
        for i, (name, inputs, run) in enumerate(self.steps):
            values[name] = run(*(values[key] for key in inputs))
            for key in set(inputs):
                if self.last[key] == i and key != self.output:
                    del values[key]
        return values[self.output]


def seconds_of(run):
    before = time.perf_counter()
    run()
    return time.perf_counter() - before


def measure(run, seconds, least=3):
    times = []
    while sum(times) < seconds or len(times) < least:
        times.append(seconds_of(run))
    return statistics.median(times)


def ways(network, x, published):
    """The network as it is and compiled, each on both memory layouts: which one is fastest depends on the layers."""
    for layout in (torch.contiguous_format, torch.channels_last):
        y = x.to(memory_format=layout)
        yield network, y
        if not published:
            yield torch.jit.freeze(torch.jit.trace(network, y, check_trace=False)), y


def fastest(network, x, published, seconds):
    best = None
    for candidate, y in ways(network, x, published):
        run = functools.partial(candidate, y)
        if seconds_of(run) < 0.5:
            measure(run, seconds / 2)
        taken = measure(run, seconds, 1)
        if best is None or taken < best[0]:
            best = taken, run
    return best[1]


def forget_peak():
    """What was tried before counts no longer (Linux)."""
    gc.collect()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_mib():
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM:")).split()[1]) / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("threads", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("side", type=int)
    parser.add_argument("model")
    parser.add_argument("published", nargs="?", choices=["published"])
    parser.add_argument("--input")
    parser.add_argument("--output")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    network = Network(a.model, a.published is not None).eval()
    with torch.inference_mode(a.published is None):  # a call of the package records gradients
        if a.input:
            np.save(a.output, network(torch.from_numpy(np.load(a.input))).detach().numpy())
            return
        x = torch.rand(1, network.channels, a.side, a.side) * 2 - 1
        run = fastest(network, x, a.published is not None, a.seconds / 8)
        forget_peak()
        median = measure(run, a.seconds)
    print(f"{1e3 * median:.4f} {peak_mib():.1f}")


if __name__ == "__main__":
    main()
