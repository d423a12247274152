#!/usr/bin/env python3
"""bench_kernels.py DCLS DIRECTORY [SECONDS]: what one DCLS layer costs against the size of its window D and its number of elements K,
one thread, least times. Models go to DIRECTORY; kernels.md (tables) and kernels.svg (plots) stay beside this script."""
import json
import math
import os
import subprocess
import sys
import time

import tune_models

DCLS, DIRECTORY = sys.argv[1:3]
SECONDS = sys.argv[3] if len(sys.argv) > 3 else "0.3"
HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = (3, 5, 9, 17, 33, 65)
COUNTS = (1, 2, 4, 9, 17, 34, 68, 136)
STAGES = ((96, 56), (192, 28), (384, 14), (768, 7))
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}


def memory_of(process):
    """Its peak so far in MiB. (What wait4 says counts this interpreter, of which it is a copy at first.)"""
    try:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            return max((int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:")), default=0)
    except FileNotFoundError:
        return 0


def measure(name, algo):
    """Least time of a run in ms, peak memory of the process in MiB."""
    command = [DCLS, "bench", os.path.join(DIRECTORY, name + ".bin"), "--algo", algo, "--threads", "1", "-s", SECONDS, "--json"]
    memory = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        while process.poll() is None:
            memory = memory_of(process) or memory
            time.sleep(0.01)
        text = process.stdout.read()
    if process.returncode:
        sys.exit(f"bench_kernels.py: {' '.join(command)} failed")
    return json.loads(text)["runs"][0]["min_ms"], memory


def full():
    """[(D, construct, im2col)], each of these a pair of time and memory."""
    rows = []
    for size in SIZES:
        tune_models.layers(DIRECTORY, f"full-D{size}", 64, 64, [(size, 9)], True)
        rows.append((size, measure(f"full-D{size}", "construct"), measure(f"full-D{size}", "im2col")))
    return rows


def depthwise(settings):
    """{stage: [ms of each pair of D and K]}"""
    times = {}
    for channels, side in STAGES:
        times[f"{channels} x {side} x {side}"] = row = []
        for size, count in settings:
            name = f"depthwise-{channels}-D{size}K{count}"
            tune_models.layers(DIRECTORY, name, channels, side, [(size, count)], False, groups=channels)
            row.append(measure(name, "sparse")[0])
    return times


# ---- tables ------------------------------------------------------------------------------------------------------------------------

def table(head, rows):
    lines = [head, ["--:"] * len(head)] + rows
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines) + "\n"


def digits(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def by_stage(title, xs, times):
    return table([title] + list(times), [[x] + [digits(row[i]) for row in times.values()] for i, x in enumerate(xs)])


def winner(rows):
    wins = [size for size, construct, im2col in rows if im2col[0] < construct[0]]
    return f"im2col is the faster one for D = {', '.join(map(str, wins))}." if wins else "construct is always the faster one."


# ---- plots -------------------------------------------------------------------------------------------------------------------------

COLOURS = ("#1b6ca8", "#c8553d", "#3d8b5f", "#7a5195")
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 400, 330, 52, 44, 14, 48


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{words}</text>'


def ticks(low, high):
    """1, 2, 5, 10, .. within the range."""
    steps = [m * 10.0**e for e in range(-4, 6) for m in (1, 2, 5)]
    return [t for t in steps if low <= t <= high]


def plot(left, title, x_name, xs, lines):
    """One panel, both axes logarithmic. lines: {name: values}"""
    values = [v for line in lines.values() for v in line]
    low, high = min(values) / 1.3, max(values) * 1.6
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def at_x(x):
        return LEFT + (right - LEFT) * math.log(x / xs[0]) / math.log(xs[-1] / xs[0])

    def at_y(y):
        return bottom - (bottom - TOP) * math.log(y / low) / math.log(high / low)

    out = [f'<g transform="translate({left} 0)">', text(LEFT, 20, title, "start", ' font-weight="bold"'),
           text((LEFT + right) / 2, HEIGHT - 10, x_name), text(LEFT - 8, TOP - 8, "ms", "end")]
    for tick in ticks(low, high):
        y = at_y(tick)
        out += [f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#ddd"/>', text(LEFT - 8, y + 4, f"{tick:g}", "end")]
    for x in xs:
        out += [f'<path d="M{at_x(x):.1f} {bottom}v5" stroke="#333"/>', text(at_x(x), bottom + 18, str(x))]
    out.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#333"/>')
    for i, (name, line) in enumerate(lines.items()):
        points = " ".join(f"{at_x(x):.1f},{at_y(v):.1f}" for x, v in zip(xs, line))
        out.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[i]}" stroke-width="2"/>')
        out += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(v):.1f}" r="3" fill="{COLOURS[i]}"/>' for x, v in zip(xs, line)]
        out += [f'<path d="M{LEFT + 12} {TOP + 8 + 16 * i}h18" stroke="{COLOURS[i]}" stroke-width="2"/>',
                text(LEFT + 36, TOP + 12 + 16 * i, name, "start")]
    return "\n".join(out) + "\n</g>\n"


def picture(panels):
    width = WIDTH * len(panels)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}" '
            'font-family="DejaVu Sans, sans-serif" font-size="12" fill="#222">\n<rect width="100%" height="100%" fill="#fff"/>\n' +
            "".join(plot(WIDTH * i, *panel) for i, panel in enumerate(panels)) + "</svg>\n")


def main():
    os.makedirs(DIRECTORY, exist_ok=True)
    rows = full()
    by_count = depthwise([(17, count) for count in COUNTS])
    by_size = depthwise([(size, 9) for size in SIZES])
    document = (
        "# One DCLS layer against D and K\n\nMade by `make bench-kernels`; one thread, least ms of a run, bilinear elements (v1), positions normal "
        "with sigma D / 6 and clamped.\n\n![Times against D and K](kernels.svg)\n\n"
        "## A full convolution, 64 to 64 channels, 64 x 64, K = 9, positions shared by the outputs\n\nMemory is the peak of the whole process, "
        "MiB, with plan and weights.\n\n" +
        table(["D", "construct ms", "im2col ms", "construct MiB", "im2col MiB"],
              [[size, digits(c[0]), digits(i[0]), digits(c[1]), digits(i[1])] for size, c, i in rows]) + winner(rows) +
        "\n\n## Depthwise, sparse, D = 17\n\n" + by_stage("K", COUNTS, by_count) + "## Depthwise, sparse, K = 9\n\n" +
        by_stage("D", SIZES, by_size).rstrip() + "\n")
    drawing = picture([("Full convolution, K = 9", "window D", SIZES, {"construct": [c[0] for _, c, _ in rows], "im2col": [i[0] for _, _, i in rows]}),
                       ("Depthwise, sparse, D = 17", "elements K", COUNTS, by_count),
                       ("Depthwise, sparse, K = 9", "window D", SIZES, by_size)])
    for name, content in (("kernels.md", document), ("kernels.svg", drawing)):
        with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
            file.write(content)
    print(document, end="")


main()
