"""construct_torch.py THREADS SECONDS: median time in ms of the published formulas in PyTorch for the kernels of bench_construct.c, gradients
recorded, as calling a layer of the published package does."""
import statistics
import sys
import time

import torch

from published import PublishedKernel

torch.set_num_threads(int(sys.argv[1]))
parameters = torch.randn(768, 1, 34), (3 * torch.randn(2, 768, 1, 34)).clamp(-8, 8)
kernel = PublishedKernel("v1", (17, 17), *(p.requires_grad_() for p in parameters))
times = []
kernel()
while sum(times) < float(sys.argv[2]) or len(times) < 3:
    before = time.perf_counter()
    kernel()
    times.append(time.perf_counter() - before)
print(f"{1e3 * statistics.median(times):.4f}")
