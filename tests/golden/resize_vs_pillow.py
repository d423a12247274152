#!/usr/bin/env python3
"""Compare the resize, crop and normalisation of libdcls with Pillow and torchvision.

usage: resize_vs_pillow.py [LIBDCLS_SO]

Prints one line per comparison and the worst difference in steps of 1/255 (resize) or as floats (whole preprocessing).
Exit status: 0 within the limit, 1 not, 77 skipped because Pillow or NumPy is missing.
"""
import ctypes as C
import os
import sys

try:
    import numpy as np
    from PIL import Image
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# (width, height) -> (width, height): up, down, mixed, odd, one side kept, extreme.
PAIRS = [
    ((500, 375), (341, 256)), ((375, 500), (256, 341)), ((640, 480), (224, 224)), ((32, 32), (224, 224)),
    ((224, 224), (32, 32)), ((1920, 1080), (455, 256)), ((100, 100), (99, 101)), ((101, 99), (100, 100)),
    ((64, 48), (640, 480)), ((640, 480), (64, 48)), ((7, 5), (13, 17)), ((1, 1), (9, 9)),
    ((300, 2), (2, 300)), ((2, 300), (300, 2)), ((256, 256), (256, 128)), ((256, 256), (128, 256)),
    ((1000, 3), (10, 3)), ((33, 77), (1, 1)), ((3000, 2000), (384, 256)), ((240, 180), (480, 360)),
]
FILTERS = {"nearest": (0, Image.NEAREST), "bilinear": (1, Image.BILINEAR), "bicubic": (2, Image.BICUBIC)}
NONE, SHORTER, EXACT = 0, 1, 2


class Preprocess(C.Structure):
    _fields_ = [("resize", C.c_int), ("resize_height", C.c_int64), ("resize_width", C.c_int64), ("filter", C.c_int),
                ("crop_height", C.c_int64), ("crop_width", C.c_int64), ("channels", C.c_int),
                ("mean", C.c_float * 3), ("std", C.c_float * 3)]


class Dcls:
    def __init__(self, path):
        self.lib = C.CDLL(path)
        self.lib.dcls_context_message.restype = C.c_char_p
        self.ctx = C.c_void_p()
        self.check(self.lib.dcls_context_create(C.byref(self.ctx)))

    def check(self, status):
        if status:
            raise RuntimeError(self.lib.dcls_context_message(self.ctx).decode())

    def preprocess(self, settings, rgb):
        """The float tensor [channels, height, width] of a picture [height, width, 3]."""
        height, width, _ = rgb.shape
        pixels = np.ascontiguousarray(rgb)
        image, h, w = C.c_void_p(), C.c_int64(), C.c_int64()
        self.check(self.lib.dcls_image_create(self.ctx, C.c_int64(width), C.c_int64(height),
                                              pixels.ctypes.data_as(C.c_void_p), C.byref(image)))
        self.check(self.lib.dcls_preprocess_size(self.ctx, C.byref(settings), C.c_int64(width), C.c_int64(height),
                                                 C.byref(h), C.byref(w)))
        tensor = np.empty((settings.channels, h.value, w.value), np.float32)
        self.check(self.lib.dcls_preprocess_run(self.ctx, C.byref(settings), image,
                                                tensor.ctypes.data_as(C.c_void_p)))
        self.lib.dcls_image_destroy(image)
        return tensor


def settings(resize=NONE, height=0, width=0, filter=1, crop=(0, 0), channels=3, mean=(0, 0, 0), std=(1, 1, 1)):
    return Preprocess(resize, height, width, filter, crop[0], crop[1], channels, (C.c_float * 3)(*mean),
                      (C.c_float * 3)(*std))


def picture(rng, width, height):
    """Noise over edges over a gradient: every frequency, and both ends of the range."""
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([x * 255.0 / max(1, width - 1), y * 255.0 / max(1, height - 1), (x * y) % 256], 2)
    noise = rng.integers(0, 256, (height, width, 3))
    edges = np.where(((x // 5 + y // 7) % 2)[..., None], 255, 0)
    return np.where(rng.random((height, width, 1)) < 0.5, smooth, np.where(rng.random((height, width, 1)) < 0.5, noise,
                                                                           edges)).astype(np.uint8)


def compare_resize(dcls, rng):
    worst = 0
    for (fw, fh), (tw, th) in PAIRS:
        rgb = picture(rng, fw, fh)
        line = []
        for name, (code, pil) in FILTERS.items():
            ours = dcls.preprocess(settings(EXACT, th, tw, code), rgb)
            theirs = np.asarray(Image.fromarray(rgb).resize((tw, th), pil)).transpose(2, 0, 1)
            step = int(np.abs(np.rint(ours * 255) - theirs).max())
            ours = dcls.preprocess(settings(EXACT, th, tw, code, channels=1), rgb)
            theirs = np.asarray(Image.fromarray(rgb).convert("L").resize((tw, th), pil))
            step = max(step, int(np.abs(np.rint(ours[0] * 255) - theirs).max()))
            line.append(f"{name} {step}")
            worst = max(worst, step)
        print(f"{fw}x{fh} -> {tw}x{th}: {'  '.join(line)}")
    return worst


def compare_transforms(dcls, rng):
    """The whole chain against torchvision; None where that is missing."""
    try:
        from torchvision import transforms as T
    except ImportError as missing:
        print(f"whole preprocessing SKIPPED: {missing}")
        return None
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    worst = 0.0
    for width, height in [(500, 375), (375, 500), (256, 256), (257, 300), (301, 259), (40, 1000), (64, 48), (31, 37)]:
        for size, crop in [(256, 224), (256, 227), (232, 225), (32, 32), (48, 64), (33, 50), (None, 40)]:
            rgb = picture(rng, width, height)
            steps = [T.Resize(size)] if size else []
            steps += [T.CenterCrop(crop), T.ToTensor(), T.Normalize(mean, std)]
            theirs = T.Compose(steps)(Image.fromarray(rgb)).numpy()
            ours = dcls.preprocess(settings(SHORTER if size else NONE, size or 0, 0, 1, (crop, crop), 3, mean, std), rgb)
            worst = max(worst, float(np.abs(ours - theirs).max()))
    print(f"resize, crop, normalise against torchvision, 56 cases: worst difference {worst:g}")
    return worst


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build", "gcc", "libdcls.so.0")
    dcls, rng = Dcls(path), np.random.default_rng(7)
    worst = compare_resize(dcls, rng)
    print(f"{len(PAIRS)} size pairs, 3 filters, RGB and gray: worst difference {worst}/255")
    chain = compare_transforms(dcls, rng)
    return 0 if worst <= 1 and (chain is None or chain < 1e-6) else 1


if __name__ == "__main__":
    sys.exit(main())
