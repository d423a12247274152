#!/usr/bin/env python3
"""Whole architectures against PyTorch: random weights are saved as a checkpoint, converted and run by dcls, and the logits
compared. Prints TAP; a part whose Python package is missing is skipped.

usage: torch_models.py DCLS   (the program to test)
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as missing:
    print(f"1..1\nok 1 - architectures against PyTorch # SKIP {missing}")
    sys.exit(0)
try:
    from torchvision.models import segmentation
except ImportError:
    segmentation = None

DCLS = sys.argv[1]


def interpolate(weight, position, size, version, spread=None):
    """The dense kernel of the method's equations in float64: weight [o, i, K], position [2, o, i, K]."""
    cells = torch.arange(size, dtype=torch.float64)
    axes = {"v0": (0, 1)}.get(version, (1, 0))
    profile = [None, None]
    for j in range(2):
        centre = (position[j] + size // 2).double()
        distance = (cells - centre[..., None]).abs()
        if version == "gauss":
            profile[axes[j]] = torch.exp(-0.5 * (distance / (spread[j].double().abs() + 0.27)[..., None]) ** 2)
        else:
            profile[axes[j]] = (1 - distance).clamp(min=0)
    x = profile[0][..., :, None] * profile[1][..., None, :]
    if version != "v0":
        x = x / (x.sum((-1, -2), keepdim=True) + 1e-7)
    return (x * weight.double()[..., None, None]).sum(2).float()


class Dcls(nn.Module):
    def __init__(self, channels, out, count, size, version, groups):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, channels // groups, count) / count**0.5)
        self.P = nn.Parameter(torch.randn(2, out, channels // groups, count).mul(size / 5).clamp(-(size // 2), size // 2))
        self.bias = nn.Parameter(torch.randn(out) * 0.1)
        if version == "gauss":
            self.SIG = nn.Parameter(torch.full_like(self.P, 0.23) + torch.randn_like(self.P) * 0.05)
        self.size, self.version, self.groups = size, version, groups

    def forward(self, x):
        kernel = interpolate(self.weight, self.P, self.size, self.version, getattr(self, "SIG", None))
        return F.conv2d(x, kernel, self.bias, padding=self.size // 2, groups=self.groups)


class Norm(nn.Module):
    """Layer norm over channels."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(dim))
        self.bias = nn.Parameter(0.1 * torch.randn(dim))

    def forward(self, x):
        y = F.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias, 1e-6)
        return y.movedim(-1, 1)


class Block(nn.Module):
    def __init__(self, dim, size, count, version, positions):
        super().__init__()
        self.dwconv = Dcls(dim, dim, count, size, version, dim) if size else nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        if size and positions is not None:
            self.dwconv.P = positions  # shared by the stage
        self.norm = Norm(dim)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.rand(dim))

    def forward(self, x):
        y = self.norm(self.dwconv(x)).movedim(1, -1)
        y = self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + (self.gamma * y).movedim(-1, 1)


class ConvNeXt(nn.Module):
    def __init__(self, dims, depths, size, count, version, classes=10):
        super().__init__()
        self.downsample_layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, dims[0], 4, 4), Norm(dims[0]))])
        for a, b in zip(dims, dims[1:]):
            self.downsample_layers.append(nn.Sequential(Norm(a), nn.Conv2d(a, b, 2, 2)))
        self.stages = nn.ModuleList()
        for dim, depth in zip(dims, depths):
            blocks = []
            for _ in range(depth):
                shared = blocks[0].dwconv.P if blocks and size else None
                blocks.append(Block(dim, size, count, version, shared))
            self.stages.append(nn.Sequential(*blocks))
        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)
        self.head = nn.Linear(dims[-1], classes)

    def forward(self, x):
        for down, stage in zip(self.downsample_layers, self.stages):
            x = stage(down(x))
        return self.head(self.norm(x.mean((-2, -1))))


class Residual(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, x):
        return self.fn(x) + x


def convmixer(dim, depth, size, count, version):
    return nn.Sequential(
        nn.Conv2d(3, dim, 2, 2), nn.GELU(), nn.BatchNorm2d(dim),
        *[nn.Sequential(Residual(nn.Sequential(Dcls(dim, dim, count, size, version, dim), nn.GELU(), nn.BatchNorm2d(dim))),
                        nn.Conv2d(dim, dim, 1), nn.GELU(), nn.BatchNorm2d(dim)) for _ in range(depth)],
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(dim, 10))


def replace_dilated(model, count, version):
    """Every dilated 3x3 convolution becomes a DCLS layer of the same reach, as the paper does."""
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Conv2d) and child.dilation[0] > 1:
            size = 2 * child.dilation[0] + 1 if child.dilation[0] < 8 else 9  # PyTorch's dense kernels must stay small
            layer = Dcls(child.in_channels, child.out_channels, count, size, version, 1)
            layer.weight.data /= child.in_channels**0.5
            layer.bias = None
            setattr(model, name, layer)
        else:
            replace_dilated(child, count, version)
    return model


def shake(model):
    """Statistics and weights that are not the identity, of a size that keeps activations in range."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.0)
            module.bias.data.normal_(0, 0.1)
    return model.eval()


def compare(name, model, size, arguments):
    with tempfile.TemporaryDirectory() as d:
        x = torch.randn(2 if size < 200 else 1, 3, size, size)
        with torch.no_grad():
            want = shake(model)(x)
        want = (want["out"] if isinstance(want, dict) else want).numpy()
        torch.save(model.state_dict(), f"{d}/m.pth")
        np.save(f"{d}/x.npy", x.numpy())
        subprocess.run([DCLS, "convert", "-q", f"{d}/m.pth", f"{d}/m.bin", *arguments], check=True)
        subprocess.run([DCLS, "infer", "-q", "-m", f"{d}/m.bin", "--logits", f"{d}/y.npy", f"{d}/x.npy"], check=True,
                       stdout=subprocess.DEVNULL)
        got = np.load(f"{d}/y.npy")
        kept = os.path.getsize(f"{d}/m.bin")
        difference = np.abs(got - want).max() / np.abs(want).max()
        return got.shape == want.shape and difference <= 1e-4, f"{name}: {difference:.2e} of the largest logit, {kept >> 10} KiB"


def parts():
    yield "ConvMixer-DCLS v1", lambda: convmixer(48, 3, 9, 9, "v1"), 32, "convmixer", 9, "v1"
    yield "ConvMixer-DCLS gauss", lambda: convmixer(48, 2, 11, 10, "gauss"), 32, "convmixer", 11, "gauss"
    yield "ConvNeXt-dcls v0, positions shared in a stage", lambda: ConvNeXt([24, 48, 96, 192], [2, 2, 3, 2], 17, 34, "v0"), \
        64, "convnext_dcls", 17, "v0"
    yield "ConvNeXt-dcls gauss", lambda: ConvNeXt([16, 32, 64, 128], [1, 2, 2, 1], 23, 26, "gauss"), 96, "convnext_dcls", 23, "gauss"
    yield "ConvNeXt, plain", lambda: ConvNeXt([16, 32, 64, 128], [1, 2, 2, 1], 0, 0, ""), 64, "convnext_dcls", 0, ""
    if segmentation:
        for depth in (50, 101):
            make = getattr(segmentation, f"deeplabv3_resnet{depth}")
            options = {"weights": None, "weights_backbone": None, "num_classes": 21, "aux_loss": depth == 101}
            yield f"DeepLabV3-ResNet-{depth}", lambda m=make, o=options: m(**o), 65 if depth == 101 else 129, "deeplabv3", 0, ""
        make = segmentation.deeplabv3_resnet50
        options = {"weights": None, "weights_backbone": None, "num_classes": 21}
        yield "DeepLabV3-ResNet-50, dilated convolutions as DCLS", lambda: replace_dilated(make(**options), 9, "v1"), 65, \
            "deeplabv3", None, "v1"


def main():
    torch.manual_seed(20261124)
    torch.set_num_threads(os.cpu_count() or 1)
    ready = list(parts())
    print(f"1..{len(ready) + (segmentation is None)}")
    failed = 0
    for number, (name, make, size, arch, window, version) in enumerate(ready, 1):
        arguments = ["--arch", arch]
        if version:
            arguments += ["--set", f"version={version}"]
        if window:
            arguments += ["--set", f"dilated_kernel_size={window}"]
        if window is None:  # reach of the dilation each layer replaced
            for glob, d in (("backbone.layer3.*", 5), ("backbone.layer4.0.*", 5), ("backbone.layer4.[12].*", 9),
                            ("classifier.*", 9)):
                arguments += ["--set", f"{glob}:dilated_kernel_size={d}"]
        try:
            ok, text = compare(name, make(), size, arguments)
        except subprocess.CalledProcessError as error:
            ok, text = False, f"{name}: {error}"
        failed += not ok
        print(f"{'ok' if ok else 'not ok'} {number} - {text}", flush=True)
    if segmentation is None:
        print(f"ok {len(ready) + 1} - DeepLabV3 # SKIP torchvision is not installed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
