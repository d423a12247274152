#!/usr/bin/env python3
"""Prints the numbers of tests/unit/test_optimizer.c: parameters after ten steps of PyTorch's optimisers."""
import torch

STEPS = 10
COUNTS = {"weight": 5, "bias": 3, "P": 6, "SIG": 6}
LIMITS = torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
state = 1


def random_float():
    """As tests/unit/numeric_util.h."""
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return (state >> 40) / 8388608 - 1


def floats(count, factor=1):
    return torch.tensor([factor * random_float() for _ in range(count)], dtype=torch.float32)


def run(make, clip, decay):
    global state
    state = 1
    tensors = {name: torch.nn.Parameter(floats(count)) for name, count in COUNTS.items()}
    average = {name: tensor.detach().double() for name, tensor in tensors.items()}
    factor = {"P": 5, "SIG": 2}
    optimizer = make([{"params": [tensors[name]], "weight_decay": decay if name == "weight" else 0} for name in COUNTS])
    for step in range(STEPS):
        rate = 0.1 * (1 - 0.05 * step)
        for group, name in zip(optimizer.param_groups, COUNTS):
            group["lr"] = rate * factor.get(name, 1)
            tensors[name].grad = floats(COUNTS[name], 2)
        norm = torch.nn.utils.clip_grad_norm_(tensors.values(), clip if clip else float("inf"))
        optimizer.step()
        keep = min(0.9, (1 + step) / (10 + step))
        with torch.no_grad():
            tensors["P"].copy_(torch.minimum(torch.maximum(tensors["P"], -LIMITS), LIMITS))
            for name, tensor in tensors.items():
                average[name] = keep * average[name] + (1 - keep) * tensor.double()
    print("     ", f"{norm.item():.9f},")
    for what in (tensors, average):
        numbers = [value for name in COUNTS for value in what[name].tolist()]
        print("      {", ", ".join(f"{value:.9f}" for value in numbers), "},")


sgd, adamw = torch.optim.SGD, torch.optim.AdamW
run(lambda groups: sgd(groups, lr=1), 0, 0.05)
run(lambda groups: sgd(groups, lr=1, momentum=0.9), 0, 0.05)
run(lambda groups: sgd(groups, lr=1, momentum=0.8, nesterov=True), 2, 0.05)
run(lambda groups: adamw(groups, lr=1, betas=(0.9, 0.99), eps=1e-6), 0, 0.3)
run(lambda groups: adamw(groups, lr=1, betas=(0.8, 0.999), eps=1e-8), 0.5, 0)
