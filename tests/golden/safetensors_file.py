"""A safetensors file from NumPy arrays, for tests and benchmarks."""
import json

import numpy as np


def write_safetensors(path, tensors, model=None):
    """tensors: names to float32 or float16 arrays; model: the network's description, or None."""
    header, at = {}, 0
    if model:
        header["__metadata__"] = {"dcls.model": json.dumps(model)}
    for name, array in tensors.items():
        header[name] = {"dtype": {"float32": "F32", "float16": "F16"}[str(array.dtype)], "shape": array.shape,
                        "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())
