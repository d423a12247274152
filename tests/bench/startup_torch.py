"""startup_torch.py MODEL.bin: one 32x32 picture's tensor through a classifier, for startup.sh."""
import sys

import torch

from peers_torch import Network

with torch.inference_mode():
    print(int(Network(sys.argv[1], False)(torch.full((1, 3, 32, 32), 0.5)).argmax()))
