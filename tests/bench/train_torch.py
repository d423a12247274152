#!/usr/bin/python3
"""train_torch.py [DIM DEPTH BATCH SIDE STEPS THREADS]: the steps of bench_train in PyTorch, kernels constructed by the published formulas on
every call: items per second."""
import sys
import time

import torch
import torch.nn.functional as F

from published import PublishedKernel

dim, depth, batch, side, steps, threads = (int(a) for a in (sys.argv[1:] + ["64", "5", "256", "32", "4", "2"][len(sys.argv) - 1:]))
torch.set_num_threads(threads)
torch.manual_seed(0)


class Elements(torch.nn.Module):
    def __init__(self, channels, count=9, size=9):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(channels, 1, count) / 3)
        self.P = torch.nn.Parameter((2 * torch.randn(2, channels, 1, count)).clamp(-(size // 2), size // 2))
        self.bias = torch.nn.Parameter(torch.zeros(channels))
        self.kernel = PublishedKernel("v1", (size, size), self.weight, self.P)
        self.size = size

    def forward(self, x):
        return F.conv2d(x, self.kernel(), self.bias, padding=self.size // 2, groups=x.shape[1])


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.spread, self.norm1 = Elements(dim), torch.nn.BatchNorm2d(dim)
        self.mix, self.norm2 = torch.nn.Conv2d(dim, dim, 1), torch.nn.BatchNorm2d(dim)

    def forward(self, x):
        x = x + self.norm1(F.gelu(self.spread(x)))
        return self.norm2(F.gelu(self.mix(x)))


net = torch.nn.Sequential(torch.nn.Conv2d(3, dim, 2, 2), torch.nn.GELU(), torch.nn.BatchNorm2d(dim), *(Block() for _ in range(depth)),
                          torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(dim, 10))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
x, target = torch.randn(batch, 3, side, side), torch.arange(batch) % 10
times = []
for step in range(steps + 1):
    start = time.time()
    optimizer.zero_grad()
    F.cross_entropy(net(x), target).backward()
    optimizer.step()
    times.append(time.time() - start)
median = sorted(times[1:])[len(times[1:]) // 2]
print(f"PyTorch {torch.__version__}, ConvMixer-{dim}/{depth}, batch {batch}, {side}x{side}, {threads} threads: median {median * 1e3:.0f} ms a step, "
      f"{batch / median:.0f} items/s; best {batch / min(times[1:]):.0f} items/s")
