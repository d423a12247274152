#!/usr/bin/env python3
"""A state dict of DCLS layers made dense: `dcls convert --to dense` against the equations in float64, and the result
loaded by PyTorch into nn.Conv1d, nn.Conv2d and nn.Conv3d against what dcls computes from the positions themselves.

Layers of every version and dimension, with groups, shared positions and unequal windows, and those that learn positions
along one dimension only. Prints TAP; the part that needs PyTorch is skipped where it is missing.

usage: dense_state_dict.py DCLS   (the program to test)
"""
import json
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError as missing:
    print(f"1..1\nok 1 - dense state dicts # SKIP {missing}")
    sys.exit(0)
try:
    import torch
except ImportError:
    torch = None

from safetensors_file import write_safetensors

DCLS = sys.argv[1]
ALGORITHMS = ("auto", "construct", "im2col", "sparse")
SIZES = {1: (23,), 2: (13, 15), 3: (8, 9, 11)}
rng = np.random.default_rng(20261124)


# ---- layers ----


def layer(version, size, kind="dcls", groups=1, stride=1, dense=(), flat=0, shared=False, channels=4):
    """A layer's description; size has one number per dimension with positions."""
    n = {"2_1d": 2, "3_1d": 3, "2dK1d": 2}.get(kind, len(size))
    window = {"2dK1d": (size[0], 1) if flat == 0 else (1, size[0])}.get(kind, tuple(dense) + tuple(size))
    return dict(version=version, size=size, kind=kind, groups=groups, stride=stride, dense=tuple(dense), flat=flat,
                shared=shared, channels=channels, n=n, window=window, padding=[w // 2 for w in window])


def layers():
    for version in ("v0", "v1", "max", "gauss"):
        for size in ((9,), (5, 9), (3, 5, 4)):
            yield layer(version, size, groups=2, stride=2)
        yield layer(version, (6, 6), shared=True)
        yield layer(version, (9, 9), groups=4)
        for groups, shared in ((1, False), (4, False), (2, True)):
            for flat in (0, 1):
                yield layer(version, (7,), "2dK1d", groups, flat=flat, shared=shared)
            yield layer(version, (7,), "2_1d", groups, dense=(3,), shared=shared)
            yield layer(version, (6,), "3_1d", groups, dense=(3, 2), shared=shared, stride=2)


def tensors_of(case):
    count, inner, out = 4, case["channels"] // case["groups"], 2 * case["channels"]
    weight = rng.standard_normal((out, inner, *case["dense"], count), dtype=np.float32)
    shape = (len(case["size"]), *weight.shape[1 if case["shared"] else 0:])
    reach = np.array(case["size"], np.float32).reshape((-1,) + (1,) * (len(shape) - 1)) // 2
    tensors = {"weight": weight, "bias": rng.standard_normal(out, dtype=np.float32),
               "P": (rng.standard_normal(shape, dtype=np.float32) * reach / 2).clip(-reach, reach)}
    if case["version"] in ("max", "gauss"):
        tensors["SIG"] = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.8)
    return tensors


def equations(case, tensors):
    """The dense kernel [out, in/groups, window..] in float64."""
    version, sizes, n = case["version"], case["size"], len(case["size"])
    axes = {1: (0,), 2: (0, 1), 3: (0, 2, 1)}[n] if version == "v0" else tuple(reversed(range(n)))
    offset = {"max": 1.0, "gauss": 1.0 if case["kind"] == "2_1d" else 0.27}.get(version, 0.0)
    profiles = [None] * n
    for j in range(n):
        centre = (tensors["P"][j] + np.float32(sizes[j] // 2)).astype(np.float64)[..., None]
        cells = np.arange(sizes[axes[j]], dtype=np.float64)
        if version == "v0":
            low = np.floor(centre)
            x = (cells == low) * (1 - (centre - low)) + (cells == low + 1) * (centre - low)
        elif version == "v1":
            x = np.maximum(0, 1 - abs(cells - centre))
        else:
            spread = abs(tensors["SIG"][j].astype(np.float64))[..., None] + offset
            x = np.maximum(0, spread - abs(cells - centre)) if version == "max" else \
                np.exp(-0.5 * ((cells - centre) / spread) ** 2)
        profiles[axes[j]] = x
    product = profiles[0]
    for x in profiles[1:]:
        product = product[..., None] * x.reshape(x.shape[:-1] + (1,) * (product.ndim - x.ndim + 1) + x.shape[-1:])
    if version != "v0":
        product = product / (product.sum(tuple(range(-n, 0)), keepdims=True) + 1e-7)
    weight = tensors["weight"].astype(np.float64).reshape(tensors["weight"].shape + (1,) * n)
    kernel = (product * weight).sum(axis=-n - 1)  # over the elements
    return kernel.reshape(*tensors["weight"].shape[:2], *case["window"])


# ---- files ----


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    return {name: np.frombuffer(data[slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


def run(*arguments):
    return subprocess.run([DCLS, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def settings(name, case):
    values = {"version": case["version"], "dilated_kernel_size": ",".join(map(str, case["size"])), "layer": case["kind"]}
    if case["kind"] == "2dK1d":
        values["flat_dim"] = case["flat"]
    return [f"--set={name}:{key}={value}" for key, value in values.items()]


def model_of(case, tensors):
    """A network of the one layer."""
    axes = ("depth", "height", "width")[3 - case["n"]:]
    node = {"op": "dcls", "name": "layer", **{slot: slot for slot in tensors}, "version": case["version"],
            "dilated_kernel_size": list(case["size"]), "layer": case["kind"], "groups": case["groups"],
            "stride": case["stride"], "padding": case["padding"]}
    if case["kind"] == "2dK1d":
        node["flat_dim"] = case["flat"]
    return {"task": "features", "input": {"channels": case["channels"], **{a: "any" for a in axes}}, "nodes": [node]}


# ---- the test ----


def worst_kernel(cases, states, dense):
    worst = 0.0
    for name, case in cases.items():
        want = equations(case, states[name])
        got = dense[f"{name}.weight"]
        if got.shape != want.shape:
            return f"{name} {case}: {got.shape} instead of {want.shape}"
        difference = float(abs(got - want).max())
        if difference > 2e-6 * max(1, abs(want).max()):
            return f"{name} {case}: {difference:.1e}"
        worst = max(worst, difference)
    return worst


def worst_layer(folder, cases, states, dense):
    convolutions = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}
    network = torch.nn.ModuleDict({
        name: convolutions[case["n"]](case["channels"], 2 * case["channels"], case["window"], stride=case["stride"],
                                      padding=tuple(case["padding"]), groups=case["groups"])
        for name, case in cases.items()})
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in dense.items()})  # strict
    worst = 0.0
    for name, case in cases.items():
        x = rng.standard_normal((2, case["channels"], *SIZES[case["n"]]), dtype=np.float32)
        with torch.no_grad():
            want = network[name](torch.from_numpy(x)).numpy()
        np.save(f"{folder}/x.npy", x)
        write_safetensors(f"{folder}/m.bin", states[name], model_of(case, states[name]))
        run("convert", "-q", "--to", "dense", f"{folder}/m.bin", f"{folder}/d.bin")
        report = json.loads(run("inspect", "--json", f"{folder}/m.bin"))
        shown = report["nodes"][0]["dcls"]
        if (shown["layer"], shown["version"], shown["window"]) != (case["kind"], case["version"], list(case["window"])):
            return f"{name} {case}: inspect says {shown}"
        for model, algorithm in [("m", a) for a in ALGORITHMS] + [("d", "auto")]:
            run("infer", "-q", "-m", f"{folder}/{model}.bin", "--algo", algorithm, "--logits", f"{folder}/y.npy", f"{folder}/x.npy")
            difference = float(abs(np.load(f"{folder}/y.npy") - want).max() / abs(want).max())
            if not difference <= 1e-5:
                return f"{name} {case}, {model}, {algorithm}: {difference:.1e}"
            worst = max(worst, difference)
    return worst


def main():
    if torch:
        torch.set_num_threads(1)  # the layers are small
    cases = {f"l{i}": case for i, case in enumerate(layers())}
    states = {name: tensors_of(case) for name, case in cases.items()}
    with tempfile.TemporaryDirectory() as folder:
        write_safetensors(f"{folder}/s.safetensors", {f"{name}.{slot}": array for name, state in states.items()
                                                      for slot, array in state.items()})
        run("convert", "-q", "--to", "dense", f"{folder}/s.safetensors", f"{folder}/d.safetensors",
            *[s for name, case in cases.items() for s in settings(name, case)])
        dense = read_safetensors(f"{folder}/d.safetensors")
        results = [worst_kernel(cases, states, dense)]
        results += [worst_layer(folder, cases, states, dense)] if torch else []
    texts = (f"kernels of {len(cases)} layers of a state dict equal the equations",
             "PyTorch loads it; its convolutions equal what dcls computes from positions, by every algorithm")
    print("1..2")
    for number, (text, result) in enumerate(zip(texts, results + ["# SKIP no PyTorch"] * (2 - len(results))), 1):
        bad = isinstance(result, str)
        if bad and result.startswith("#"):
            print(f"ok {number} - {text} {result}")
        else:
            print(f"{'not ok' if bad else 'ok'} {number} - {text}: {result if bad else f'worst difference {result:.1e}'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
