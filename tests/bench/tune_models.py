"""tune_models.py DIRECTORY: models of single DCLS layers for `dcls bench --tune`: what the choice of an algorithm depends on."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden"))
from safetensors_file import write_safetensors  # noqa: E402

rng = np.random.default_rng(9)


def normal(*shape, scale=1.0):
    return (rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)).astype(np.float32)


def layers(directory, name, channels, side, settings, shared, version="v1", groups=1, stride=1):
    """One chain of layers, each [channels, side, side] to the same; settings: pairs of D and K."""
    nodes, tensors = [], {}
    for i, (size, count) in enumerate(settings):
        key = f"D{size}K{count}"
        positions = (2,) + (() if shared else (channels,)) + (channels // groups, count)
        tensors[key + ".weight"] = normal(channels, channels // groups, count, scale=(count * channels // groups)**-0.5)
        tensors[key + ".P"] = np.clip(normal(*positions, scale=max(size / 6, 0.5)), -(size // 2), size // 2)
        node = {"op": "dcls", "name": key, "inputs": [nodes[-1]["name"] if nodes else "input"], "weight": key + ".weight", "P": key + ".P",
                "version": version, "dilated_kernel_size": size, "padding": size // 2, "groups": groups}
        if version in ("max", "gauss"):
            tensors[key + ".SIG"] = np.full(positions, 0.23, np.float32)
            node["SIG"] = key + ".SIG"
        nodes.append(node)
    model = {"task": "features", "input": {"channels": channels, "height": side, "width": side}, "nodes": nodes,
             "output": nodes[-1]["name"]}
    write_safetensors(os.path.join(directory, name + ".bin"), tensors, model)


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    sweep = [(size, 9) for size in (3, 5, 9, 17, 33, 65)]
    layers(sys.argv[1], "full-shared", 64, 64, sweep, True)
    layers(sys.argv[1], "full-own", 64, 64, sweep[:4], False)
    layers(sys.argv[1], "full-own-small", 128, 14, sweep[:4], False)
    layers(sys.argv[1], "full-shared-small", 256, 14, sweep[:4], True)
    layers(sys.argv[1], "full-shared-gauss", 64, 32, [(5, 4), (9, 9), (17, 9), (23, 9)], True, "gauss")
    layers(sys.argv[1], "full-own-gauss", 64, 32, [(5, 4), (9, 4), (17, 4)], False, "gauss")
    layers(sys.argv[1], "full-shared-max", 64, 32, [(5, 4), (9, 9), (17, 9)], True, "max")
    layers(sys.argv[1], "elements", 64, 32, [(17, count) for count in (1, 2, 4, 8, 16, 32)], True)
    layers(sys.argv[1], "elements-own", 64, 32, [(17, count) for count in (1, 2, 4, 8, 16, 32)], False)
    layers(sys.argv[1], "grouped", 64, 32, sweep[:5], False, groups=8)
    layers(sys.argv[1], "grouped-shared", 64, 32, sweep[:5], True, groups=8)
