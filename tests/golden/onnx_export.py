#!/usr/bin/env python3
"""ONNX files that dcls writes: onnx.checker must accept them and ONNX Runtime must give dcls's own logits.

Random weights for every built-in architecture, the models that ship, and small networks that together hold every
operation with every attribute. Prints TAP and a table; what is missing is skipped.

usage: onnx_export.py DCLS [ONNXRUNTIME]   (the program to test; the folder of the npm package onnxruntime-node)
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError as missing:
    print(f"1..1\nok 1 - ONNX export # SKIP {missing}")
    sys.exit(0)
try:
    import onnx
except ImportError:
    onnx = None

from safetensors_file import write_safetensors

DCLS = sys.argv[1]
RUNTIME = sys.argv[2] if len(sys.argv) > 2 else None
HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 1e-4
rng = np.random.default_rng(20261124)


# ---- weights ----


def normal(*shape, scale=1.0):
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)


def conv(t, name, out, inside, *kernel, bias=True):
    t[f"{name}.weight"] = normal(out, inside, *kernel, scale=1 / np.sqrt(inside * np.prod(kernel, dtype=float)))
    if bias:
        t[f"{name}.bias"] = normal(out, scale=0.1)


def dcls(t, name, out, inside, count, size, version, bias=True):
    t[f"{name}.weight"] = normal(out, inside, count, scale=1 / np.sqrt(inside * count))
    t[f"{name}.P"] = np.clip(normal(2, out, inside, count, scale=size / 5), -(size // 2), size // 2)
    if version in ("gauss", "max"):
        t[f"{name}.SIG"] = normal(2, out, inside, count, scale=0.1) + np.float32(0.3)
    if bias:
        t[f"{name}.bias"] = normal(out, scale=0.1)


def norm(t, name, channels, moments=True):
    t[f"{name}.weight"] = rng.uniform(0.5, 1, channels).astype(np.float32)
    t[f"{name}.bias"] = normal(channels, scale=0.1)
    if moments:
        t[f"{name}.running_mean"] = normal(channels, scale=0.1)
        t[f"{name}.running_var"] = rng.uniform(0.5, 1.5, channels).astype(np.float32)


def convmixer(dim, depth, count, size, version):
    t = {}
    conv(t, "0", dim, 3, 2, 2)
    norm(t, "2", dim)
    for i in range(depth):
        dcls(t, f"{i + 3}.0.fn.0", dim, 1, count, size, version)
        norm(t, f"{i + 3}.0.fn.2", dim)
        conv(t, f"{i + 3}.1", dim, dim, 1, 1)
        norm(t, f"{i + 3}.3", dim)
    conv(t, f"{depth + 5}", 10, dim)
    return t


def convnext(dims, depths, count, size, version):
    t = {}
    for i, (dim, depth) in enumerate(zip(dims, depths)):
        if i == 0:
            conv(t, "downsample_layers.0.0", dim, 3, 4, 4)
            norm(t, "downsample_layers.0.1", dim, False)
        else:
            norm(t, f"downsample_layers.{i}.0", dims[i - 1], False)
            conv(t, f"downsample_layers.{i}.1", dim, dims[i - 1], 2, 2)
        for j in range(depth):
            block = f"stages.{i}.{j}"
            dcls(t, f"{block}.dwconv", dim, 1, count, size, version)
            if j > 0:  # positions shared in a stage
                for slot in ("P", "SIG"):
                    if f"{block}.dwconv.{slot}" in t:
                        t[f"{block}.dwconv.{slot}"] = t[f"stages.{i}.0.dwconv.{slot}"]
            norm(t, f"{block}.norm", dim, False)
            conv(t, f"{block}.pwconv1", 4 * dim, dim)
            conv(t, f"{block}.pwconv2", dim, 4 * dim)
            t[f"{block}.gamma"] = rng.uniform(0, 1, dim).astype(np.float32)
    norm(t, "norm", dims[-1], False)
    conv(t, "head", 10, dims[-1])
    return t


def deeplabv3(width, count=0, version=""):
    """ResNet-50 of a first width (64 is the published one), its dilated convolutions classic or DCLS of less reach."""
    t = {}

    def dilated(name, out, inside, size):
        if count:
            dcls(t, name, out, inside, count, size, version, bias=False)
        else:
            conv(t, name, out, inside, 3, 3, bias=False)

    conv(t, "backbone.conv1", width, 3, 7, 7, bias=False)
    norm(t, "backbone.bn1", width)
    before = width
    for layer, blocks in enumerate((3, 4, 6, 3), 1):
        planes = width << (layer - 1)
        for j in range(blocks):
            name = f"backbone.layer{layer}.{j}"
            conv(t, f"{name}.conv1", planes, before, 1, 1, bias=False)
            if layer == 4 or (layer == 3 and j > 0):
                dilated(f"{name}.conv2", planes, planes, 5)
            else:
                conv(t, f"{name}.conv2", planes, planes, 3, 3, bias=False)
            conv(t, f"{name}.conv3", 4 * planes, planes, 1, 1, bias=False)
            for k in (1, 2):
                norm(t, f"{name}.bn{k}", planes)
            norm(t, f"{name}.bn3", 4 * planes)
            if j == 0:
                conv(t, f"{name}.downsample.0", 4 * planes, before, 1, 1, bias=False)
                norm(t, f"{name}.downsample.1", 4 * planes)
            before = 4 * planes
    middle = 4 * width
    conv(t, "classifier.0.convs.0.0", middle, before, 1, 1, bias=False)
    norm(t, "classifier.0.convs.0.1", middle)
    for k in (1, 2, 3):
        dilated(f"classifier.0.convs.{k}.0", middle, before, 9)
        norm(t, f"classifier.0.convs.{k}.1", middle)
    conv(t, "classifier.0.convs.4.1", middle, before, 1, 1, bias=False)
    norm(t, "classifier.0.convs.4.2", middle)
    conv(t, "classifier.0.project.0", middle, 5 * middle, 1, 1, bias=False)
    norm(t, "classifier.0.project.1", middle)
    conv(t, "classifier.1", middle, middle, 3, 3, bias=False)
    norm(t, "classifier.2", middle)
    conv(t, "classifier.4", 21, middle, 1, 1)
    return t


# ---- networks in JSON: every operation with every attribute ----


class Net:
    """One network: node(op, ..) appends a node that follows the one before unless it names inputs."""

    def __init__(self, channels, *size):
        axes = ("depth", "height", "width")[3 - len(size):]
        self.model = {"task": "features", "input": {"channels": channels, **dict(zip(axes, size))}, "nodes": []}
        self.tensors = {}

    def node(self, op, name=None, **attributes):
        name = name or f"{op}.{len(self.model['nodes'])}"
        self.model["nodes"].append({"op": op, "name": name, **attributes})
        return name

    def conv(self, out, inside, *kernel, bias=True, **attributes):
        name = f"conv.{len(self.model['nodes'])}"
        conv(self.tensors, name, out, inside, *kernel, bias=bias)
        extra = {"bias": f"{name}.bias"} if bias else {}
        return self.node("conv", name, weight=f"{name}.weight", **extra, **attributes)

    def norm(self, op, channels, affine=True, **attributes):
        name = f"{op}.{len(self.model['nodes'])}"
        norm(self.tensors, name, channels, op == "batch_norm")
        slots = (["weight", "bias"] if affine else []) + (["running_mean", "running_var"] if op == "batch_norm" else [])
        return self.node(op, name, **{s: f"{name}.{s}" for s in slots}, **attributes)


def single(extent, op, channels=3, **attributes):
    net = Net(channels, *extent)
    net.node(op, **attributes)
    return net


def every_operation(size):
    net = Net(3, *size)
    net.conv(8, 3, 3, 3, padding=1)
    stem = net.norm("batch_norm", 8, eps=1e-3)
    net.node("gelu", approximate="tanh")
    dcls(net.tensors, "d", 8, 1, 5, 7, "gauss")
    net.node("dcls", "d", weight="d.weight", P="d.P", SIG="d.SIG", bias="d.bias", groups=8, padding=3, version="gauss",
             dilated_kernel_size=7)
    net.norm("layer_norm", 8, eps=1e-6)
    net.tensors["s.weight"] = normal(8)
    net.node("layer_scale", "s", weight="s.weight")
    net.node("drop_path", p=0.1)
    body = net.node("add", inputs=[net.model["nodes"][-1]["name"], stem])
    net.node("global_avg_pool", inputs=[body])
    net.conv(8, 8, 1, 1)
    gate = net.node("sigmoid")
    net.node("mul", inputs=[gate, body])
    pooled = net.node("max_pool", kernel_size=2)
    up = net.node("resize", mode="bilinear", inputs=[pooled, body])
    net.node("concat", inputs=[body, up, stem])
    net.node("relu")
    net.node("avg_pool", kernel_size=3, stride=2, padding=1)
    net.node("softmax")
    net.node("dropout", p=0.5)
    net.node("identity")
    net.node("global_max_pool", flatten=True)
    net.node("flatten")
    net.tensors["fc.weight"], net.tensors["fc.bias"] = normal(10, 24), normal(10)
    net.node("linear", "fc", weight="fc.weight", bias="fc.bias")
    return net


def networks():
    yield "every operation, any size", every_operation(("any", "any")), [(2, 3, 19, 23), (1, 3, 32, 16)]
    yield "every operation, fixed size", every_operation((20, 14)), [(3, 3, 20, 14)]

    for mode in ("zeros", "reflect", "replicate", "circular"):
        net = Net(4, "any", "any")
        net.conv(6, 2, 3, 5, padding=[2, 3], padding_mode=mode, groups=2, stride=[1, 2], dilation=[2, 1])
        net.conv(6, 6, 4, 2, padding="same", padding_mode=mode, bias=False)
        yield f"convolutions, padding {mode}", net, [(2, 4, 9, 12), (1, 4, 7, 7)]
    for size, kernel in ((("any",), (5,)), (("any",) * 3, (3, 2, 3))):
        for mode in ("zeros", "circular"):
            net = Net(2, *size)
            net.conv(4, 2, *kernel, padding="same", padding_mode=mode)
            net.node("max_pool", kernel_size=2, padding=1)
            net.node("avg_pool", kernel_size=2)
            net.norm("batch_norm", 4, affine=False)
            net.norm("layer_norm", 4, affine=False)
            yield f"{len(size)}-D, padding {mode}", net, [(2, 2, 13, 10, 9)[: 2 + len(size)]]

    for version in ("v0", "v1", "max", "gauss"):
        net = Net(4, "any", "any")
        dcls(net.tensors, "d", 6, 2, 5, 7, version)
        sigma = {"SIG": "d.SIG"} if version in ("max", "gauss") else {}
        net.node("dcls", "d", weight="d.weight", P="d.P", **sigma, groups=2, padding=[4, 2], padding_mode="reflect",
                 version=version, dilated_kernel_size=[9, 5], stride=2)
        yield f"DCLS {version}, unequal window", net, [(2, 4, 12, 9)]
    for kind, size, dense, flat in (("2_1d", 2, (3,), 0), ("3_1d", 3, (2, 3), 0), ("2dK1d", 2, (), 0), ("2dK1d", 2, (), 1)):
        net = Net(4, *["any"] * size)
        net.tensors = {"w": normal(6, 2, *dense, 4), "P": normal(1, 6, 2, *dense, 4, scale=2).clip(-3, 3),
                       "S": normal(1, 6, 2, *dense, 4)}
        net.node("dcls", "d", weight="w", P="P", SIG="S", groups=2, padding=1, version="gauss", dilated_kernel_size=7,
                 layer=kind, **({"flat_dim": flat} if kind == "2dK1d" else {}))
        yield f"DCLS {kind} {flat}", net, [(2, 4, 9, 8, 10)[: 2 + size]]
    net = Net(2, "any", "any")
    dcls(net.tensors, "d", 2, 1, 5, 7, "v1")
    for k in (1, 2):  # one layer's tensors used twice are one kernel in the file
        net.node("dcls", f"use{k}", weight="d.weight", P="d.P", groups=2, padding=3, version="v1", dilated_kernel_size=7)
    yield "a DCLS layer used twice", net, [(1, 2, 9, 9)]

    for op in ("max_pool", "avg_pool"):
        for kernel, stride, padding in ((3, 2, 1), (3, 2, 0), (2, 2, 0), (3, 3, 1), ([3, 4], [2, 3], [1, 2])):
            for ceil in (False, True):
                for include in (True, False) if op == "avg_pool" else (None,):
                    more = {} if include is None else {"count_include_pad": include}
                    for size in ((11, 8), ("any", "any")):
                        net = single(size, op, kernel_size=kernel, stride=stride, padding=padding, ceil_mode=ceil, **more)
                        yield f"{op} {kernel} stride {stride} padding {padding} ceil {ceil} {more or ''} {size}", net, \
                            [(2, 3, 11, 8)] + ([(1, 3, 10, 9)] if size[0] == "any" else [])
    yield "max_pool dilated", single(("any", "any"), "max_pool", kernel_size=2, stride=2, dilation=3, ceil_mode=True), \
        [(1, 3, 11, 8), (1, 3, 12, 9)]
    yield "max_pool drops a last window", single((3, 5), "max_pool", kernel_size=2, stride=2, padding=1, ceil_mode=True), \
        [(1, 3, 3, 5)]

    for mode in ("nearest", "bilinear"):
        for corners in (False, True) if mode == "bilinear" else (False,):
            more = {"align_corners": True} if corners else {}
            for size in ((7, 9), ("any", "any")):
                inputs = [(2, 3, 7, 9)] + ([(1, 3, 5, 6)] if size[0] == "any" else [])
                for to in ({"size": [14, 27]}, {"size": [5, 13]}, {"size": 1}, {"scale": 2}, {"scale": [1.9, 0.55]}):
                    yield f"resize {mode} {to} {more or ''} {size}", single(size, "resize", mode=mode, **to, **more), inputs
    # Cells where PyTorch's product and ONNX's quotient of rounded numbers lie on two sides of a whole number.
    for size in ((14, 6), ("any", "any"), (14, "any")):
        yield f"resize nearest, rounded steps {size}", single(size, "resize", mode="nearest", size=[2, 74]), [(1, 3, 14, 6)]
        net = single(size, "max_pool", kernel_size=[7, 1])
        net.node("resize", inputs=["input", "max_pool.0"])
        yield f"resize nearest, like another {size}", net, [(2, 3, 14, 6)]
    for size in ((16, 31), ("any", "any")):
        yield f"resize nearest, rounded scale {size}", single(size, "resize", mode="nearest", scale=[1.2, 2.3]), [(1, 3, 16, 31)]
    yield "resize linear, 1-D", single(("any",), "resize", mode="linear", size=17), [(2, 3, 5)]
    yield "resize trilinear", single(("any",) * 3, "resize", mode="trilinear", scale=2), [(1, 3, 3, 4, 5)]
    yield "resize nearest, 3-D", single(("any",) * 3, "resize", mode="nearest", scale=2), [(1, 3, 3, 4, 5)]

    net = Net(3, "any", "any")
    net.conv(4, 3, 3, 3)
    for op in ("sigmoid", "gelu", "relu"):
        net.node(op)
        net.norm("batch_norm", 4)
    yield "activations and norms behind a convolution", net, [(2, 3, 8, 9)]
    net = single(("any", "any"), "gelu")
    half = normal(3).astype(np.float16)
    net.tensors["s.weight"] = half
    net.node("layer_scale", "input.x", weight="s.weight")
    net.node("identity", "output")
    yield "half-precision tensors, names that ONNX has taken", net, [(1, 3, 4, 4)]
    net = Net(3, 4, 4)
    net.node("global_avg_pool", flatten=True)
    net.norm("layer_norm", 3)
    net.norm("batch_norm", 3, affine=False)
    net.node("softmax")
    net.tensors["fc.weight"] = normal(5, 3)
    net.node("linear", "fc", weight="fc.weight")
    yield "vectors", net, [(4, 3, 4, 4)]


# ---- cases ----


def cases(folder):
    """Name, group, arguments of dcls convert before OUT, shapes of inputs."""
    number = 0
    shipped = os.path.join(HERE, "../../weights")
    for name, shapes in (("convmixer-dcls-cifar10", [(2, 3, 32, 32), (1, 3, 48, 40)]),
                         ("dclsseg-camvid", [(1, 3, 96, 128), (2, 3, 64, 72)])):
        if os.path.exists(f"{shipped}/{name}.bin"):
            yield name, "model that ships", [f"{shipped}/{name}.bin"], shapes
    window = [f"--set=GLOB:dilated_kernel_size={d}".replace("GLOB", glob) for glob, d in
              (("backbone.*", 5), ("classifier.*", 9))]
    width = int(os.environ.get("DEEPLAB_WIDTH", "16"))
    for name, tensors, shapes, settings in (
            ("ConvMixer-DCLS v1", convmixer(64, 4, 9, 9, "v1"), [(2, 3, 32, 32)],
             ["--arch=convmixer", "--set=version=v1", "--set=dilated_kernel_size=9"]),
            ("ConvMixer-DCLS gauss", convmixer(48, 2, 10, 11, "gauss"), [(2, 3, 32, 32)],
             ["--arch=convmixer", "--set=version=gauss", "--set=dilated_kernel_size=11"]),
            ("ConvNeXt-dcls v0", convnext([24, 48, 96, 192], [2, 2, 3, 2], 34, 17, "v0"), [(2, 3, 64, 64), (1, 3, 96, 64)],
             ["--arch=convnext_dcls", "--set=version=v0", "--set=dilated_kernel_size=17"]),
            ("ConvNeXt-dcls gauss", convnext([16, 32, 64, 128], [1, 2, 2, 1], 26, 23, "gauss"), [(2, 3, 64, 64)],
             ["--arch=convnext_dcls", "--set=version=gauss", "--set=dilated_kernel_size=23"]),
            ("DeepLabV3-ResNet-50", deeplabv3(width), [(1, 3, 65, 97), (2, 3, 64, 64)], ["--arch=deeplabv3"]),
            ("DeepLabV3-ResNet-50 dcls", deeplabv3(width, 9, "v1"), [(1, 3, 65, 97)],
             ["--arch=deeplabv3", "--set=version=v1", *window])):
        number += 1
        write_safetensors(f"{folder}/arch{number}.safetensors", tensors)
        yield name, "architecture", [f"{folder}/arch{number}.safetensors", *settings], shapes
    for name, net, shapes in networks():
        number += 1
        write_safetensors(f"{folder}/net{number}.bin", net.tensors, net.model)
        yield name, "operations", [f"{folder}/net{number}.bin"], shapes


def run(*arguments):
    subprocess.run([DCLS, *arguments], check=True, stdout=subprocess.DEVNULL)


def prepare(folder, number, arguments, shapes):
    """The ONNX file, and for every shape an input and dcls's own output."""
    model, file = arguments[0], f"{folder}/{number}.onnx"
    if arguments[1:]:
        model = f"{folder}/{number}.bin"
        run("convert", "-q", arguments[0], model, *arguments[1:])
    run("convert", "-q", arguments[0], file, *arguments[1:])
    inputs, wanted = [], []
    for k, shape in enumerate(shapes):
        x = normal(*shape)
        np.save(f"{folder}/x.npy", x)
        x.tofile(f"{folder}/{number}.{k}.in")
        run("infer", "-q", "-m", model, "--logits", f"{folder}/y.npy", f"{folder}/x.npy")
        inputs.append({"file": f"{folder}/{number}.{k}", "shape": shape, "type": "float32"})
        wanted.append(np.load(f"{folder}/y.npy"))
    return {"model": file, "inputs": inputs}, wanted


def prepare_pixels(folder):
    """Networks with their preprocessing: bytes in."""
    grey = Net(1, "any", "any")
    grey.model["preprocess"] = {"mean": [0.1307], "std": [0.3081]}
    grey.conv(4, 1, 3, 3)
    write_safetensors(f"{folder}/grey.bin", grey.tensors, grey.model)
    shipped = os.path.join(HERE, "../../weights/convmixer-dcls-cifar10.bin")
    for name, model, shape, mean, std in (
            ("convmixer-dcls-cifar10", shipped, (2, 32, 32, 3), [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
            ("grey pictures", f"{folder}/grey.bin", (2, 9, 7, 1), [0.1307], [0.3081])):
        if not os.path.exists(model):
            continue
        file = f"{folder}/{name}.pixels.onnx"
        run("convert", "-q", "--onnx-preprocess", model, file)
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        pixels.tofile(f"{folder}/{name}.in")
        np.save(f"{folder}/x.npy", ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
        run("infer", "-q", "-m", model, "--logits", f"{folder}/y.npy", f"{folder}/x.npy")
        job = {"model": file, "inputs": [{"file": f"{folder}/{name}", "shape": shape, "type": "uint8"}]}
        yield f"{name} --onnx-preprocess", job, [np.load(f"{folder}/y.npy")]


def check(file):
    """None, or what onnx.checker says; shapes are inferred as well."""
    try:
        onnx.checker.check_model(file, full_check=True)
    except Exception as error:  # the checker has no base class of its own
        return str(error).splitlines()[0]
    return None


def compare(job, wanted):
    """The worst difference relative to the largest logit, or a message."""
    worst = 0.0
    for given, want in zip(job["inputs"], wanted):
        try:
            with open(given["file"] + ".json", encoding="utf-8") as answer:
                shape = json.load(answer)
        except OSError:
            return "ONNX Runtime refuses it"
        if "error" in shape:
            return shape["error"].splitlines()[0][:300]
        if tuple(shape["shape"]) != want.shape:
            return f"shape {shape['shape']} instead of {want.shape}"
        got = np.fromfile(given["file"] + ".out", np.float32).reshape(want.shape)
        if not np.isfinite(got).all() or not np.isfinite(want).all():
            return "values that are not finite"
        worst = max(worst, float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30)))
    return worst


def main():
    with tempfile.TemporaryDirectory() as folder:
        names, jobs, wants = [], [], []
        for number, (name, group, arguments, shapes) in enumerate(cases(folder)):
            job, want = prepare(folder, number, arguments, shapes)
            names.append((name, group))
            jobs.append(job)
            wants.append(want)
        for name, job, want in prepare_pixels(folder):
            names.append((name, "preprocessing"))
            jobs.append(job)
            wants.append(want)

        if RUNTIME:
            with open(f"{folder}/jobs.json", "w", encoding="utf-8") as file:
                json.dump(jobs, file)
            subprocess.run(["node", os.path.join(HERE, "onnx_export.mjs"), RUNTIME, f"{folder}/jobs.json"], check=True)

        refused = different = 0
        worst = {}
        print("# worst difference to ONNX Runtime, relative to the largest output")
        for (name, group), job, want in zip(names, jobs, wants):
            problem = check(job["model"]) if onnx else None
            if problem:
                refused += 1
                print(f"# {name}: {problem}")
            if not RUNTIME:
                continue
            result = compare(job, want)
            if isinstance(result, str) or result > TOLERANCE:
                different += 1
            elif group == "operations":
                worst[group] = max(worst.get(group, 0), result)
                continue
            print(f"#   {name:44}{result if isinstance(result, str) else f'{result:.1e}'}")
        count = sum(group == "operations" for _, group in names)
        if worst:
            print(f"#   {f'{count} networks of single operations':44}{worst['operations']:.1e}")
        print("1..2")
        print(f"{'not ok' if refused else 'ok'} 1 - onnx.checker accepts {len(names)} files" + ("" if onnx else " # SKIP no python3-onnx"))
        print(f"{'not ok' if different else 'ok'} 2 - ONNX Runtime gives the same within {TOLERANCE:g}" +
              ("" if RUNTIME else " # SKIP no onnxruntime-node"))
        return 1 if refused or different else 0


if __name__ == "__main__":
    sys.exit(main())
