#!/usr/bin/env python3
"""Makes the models that `make bench` measures, with random weights: positions normal around the centre with sigma 3 and clamped,
gauss spreads 0.23 (+ 0.27). Usage: bench_models.py DIRECTORY; writes NAME.bin state dicts or JSON models and prints one line each:
NAME, the arguments of dcls convert, the input size."""
import json
import os
import sys

import numpy as np

OUT = sys.argv[1]
rng = np.random.default_rng(34)


def normal(*shape, scale=1.0):
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)


def near_one(n):
    return 1 + normal(n, scale=0.1)


def write(name, tensors, model=None):
    header, at = {}, 0
    if model:
        header["__metadata__"] = {"dcls.model": json.dumps(model)}
    for key, array in tensors.items():
        header[key] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(OUT, name + ".safetensors"), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(array.tobytes())


def dcls_layer(prefix, channels, count, size, gauss):
    limit = size // 2
    layer = {prefix + "weight": normal(channels, 1, count, scale=count**-0.5),
             prefix + "P": np.clip(normal(2, channels, 1, count, scale=3), -limit, limit)}
    if gauss:
        layer[prefix + "SIG"] = np.full((2, channels, 1, count), 0.23, np.float32)
    return layer


def convnext(size, count, gauss):
    depths, dims, t = (3, 3, 9, 3), (96, 192, 384, 768), {}
    for i, width in enumerate(dims):
        before, side = (3, 4) if i == 0 else (dims[i - 1], 2)
        conv, norm = (0, 1) if i == 0 else (1, 0)
        t[f"downsample_layers.{i}.{conv}.weight"] = normal(width, before, side, side, scale=(before * side * side)**-0.5)
        t[f"downsample_layers.{i}.{conv}.bias"] = normal(width, scale=0.1)
        t[f"downsample_layers.{i}.{norm}.weight"] = near_one(width if i == 0 else before)
        t[f"downsample_layers.{i}.{norm}.bias"] = normal(width if i == 0 else before, scale=0.1)
        for j in range(depths[i]):
            p = f"stages.{i}.{j}."
            t.update(dcls_layer(p + "dwconv.", width, count, size, gauss))
            t[p + "dwconv.bias"] = normal(width, scale=0.1)
            t[p + "norm.weight"], t[p + "norm.bias"] = near_one(width), normal(width, scale=0.1)
            t[p + "pwconv1.weight"], t[p + "pwconv1.bias"] = normal(4 * width, width, scale=width**-0.5), normal(4 * width, scale=0.1)
            t[p + "pwconv2.weight"], t[p + "pwconv2.bias"] = normal(width, 4 * width, scale=(4 * width)**-0.5), normal(width, scale=0.1)
            t[p + "gamma"] = np.full(width, 0.3, np.float32)
    t["norm.weight"], t["norm.bias"] = near_one(dims[3]), normal(dims[3], scale=0.1)
    t["head.weight"], t["head.bias"] = normal(1000, dims[3], scale=dims[3]**-0.5), normal(1000, scale=0.1)
    return t


def batch_norm(prefix, width):
    return {prefix + "weight": near_one(width), prefix + "bias": normal(width, scale=0.1),
            prefix + "running_mean": normal(width, scale=0.1), prefix + "running_var": 1 + 0.1 * rng.random(width, dtype=np.float32)}


def convmixer(width, depth, side, patch, classes):
    t = {"0.weight": normal(width, 3, patch, patch, scale=(3 * patch * patch)**-0.5), "0.bias": normal(width, scale=0.1)}
    t.update(batch_norm("2.", width))
    for i in range(3, depth + 3):
        t[f"{i}.0.fn.0.weight"], t[f"{i}.0.fn.0.bias"] = normal(width, 1, side, side, scale=1 / side), normal(width, scale=0.1)
        t.update(batch_norm(f"{i}.0.fn.2.", width))
        t[f"{i}.1.weight"], t[f"{i}.1.bias"] = normal(width, width, 1, 1, scale=width**-0.5), normal(width, scale=0.1)
        t.update(batch_norm(f"{i}.3.", width))
    t[f"{depth + 5}.weight"], t[f"{depth + 5}.bias"] = normal(classes, width, scale=width**-0.5), normal(classes, scale=0.1)
    return t


def deeplabv3():
    t = {}

    def conv(name, out, before, side):
        t[name + ".weight"] = normal(out, before, side, side, scale=(before * side * side / 2)**-0.5)

    def conv_bn(name, bn, out, before, side):
        conv(name, out, before, side)
        t.update(batch_norm(bn + ".", out))

    conv_bn("backbone.conv1", "backbone.bn1", 64, 3, 7)
    before = 64
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for b in range(blocks):
            p = f"backbone.layer{stage}.{b}."
            conv_bn(p + "conv1", p + "bn1", width, before, 1)
            conv_bn(p + "conv2", p + "bn2", width, width, 3)
            conv_bn(p + "conv3", p + "bn3", 4 * width, width, 1)
            if b == 0:
                conv_bn(p + "downsample.0", p + "downsample.1", 4 * width, before, 1)
            before = 4 * width
    for i, side in enumerate((1, 3, 3, 3)):
        conv_bn(f"classifier.0.convs.{i}.0", f"classifier.0.convs.{i}.1", 256, 2048, side)
    conv_bn("classifier.0.convs.4.1", "classifier.0.convs.4.2", 256, 2048, 1)
    conv_bn("classifier.0.project.0", "classifier.0.project.1", 256, 1280, 1)
    conv_bn("classifier.1", "classifier.2", 256, 256, 3)
    conv("classifier.4", 21, 256, 1)
    t["classifier.4.bias"] = normal(21, scale=0.1)
    return t


LAYERS = 8  # stacked and ended by a mean, so that no time goes into handing results out


def depthwise(name, width, side, count, size, gauss):
    t, nodes = {}, []
    for i in range(LAYERS):
        t.update(dcls_layer(f"{i}.", width, count, size, gauss))
        node = {"op": "dcls", "name": f"l{i}", "inputs": [f"l{i - 1}" if i else "input"], "weight": f"{i}.weight", "P": f"{i}.P",
                "version": "gauss" if gauss else "v1", "dilated_kernel_size": size, "padding": size // 2, "groups": width}
        nodes.append(dict(node, SIG=f"{i}.SIG") if gauss else node)
    nodes.append({"op": "global_avg_pool", "name": "mean", "inputs": [f"l{LAYERS - 1}"], "flatten": True})
    write(name, t, {"task": "features", "input": {"channels": width, "height": side, "width": side}, "nodes": nodes, "output": "mean"})
    print(name, side)


for kind, size, count, gauss in (("v1", 17, 34, False), ("gauss", 23, 26, True)):
    for width, side in ((96, 56), (192, 28), (384, 14), (768, 7)):
        depthwise(f"depthwise-{kind}-{width}x{side}", width, side, count, size, gauss)
write("convnext-t-dcls", convnext(17, 34, False))
print("convnext-t-dcls 224 --arch convnext_dcls --set version=v1 --set dilated_kernel_size=17")
write("convnext-t-dcls-gauss", convnext(23, 26, True))
print("convnext-t-dcls-gauss 224 --arch convnext_dcls --set version=gauss --set dilated_kernel_size=23")
write("convmixer-256-8", convmixer(256, 8, 9, 2, 10))
print("convmixer-256-8 32 --arch convmixer")
write("convmixer-768-32", convmixer(768, 32, 7, 7, 1000))
print("convmixer-768-32 224 --arch convmixer")
write("deeplabv3-resnet50", deeplabv3())
print("deeplabv3-resnet50 513 --arch deeplabv3")
