#!/usr/bin/env python3
"""The HTML report in headless Chromium: loads without console messages, fits 1280 and 400 pixels, light and dark, works by keyboard,
hover and choice. Prints TAP; skipped without chromium and chromedriver. Usage: report_browser.py DCLS [FOLDER for screenshots [MODEL]]"""
import base64
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

DCLS = os.path.abspath(sys.argv[1])
SHOTS = sys.argv[2] if len(sys.argv) > 2 else None
SLOW = 5 if os.environ.get("MEMCHECK") else 1
failed = count = 0


def check(name, good, detail=""):
    global failed, count
    count += 1
    failed += not good
    detail = detail.replace("\n", "; ")
    print(f"{'ok' if good else 'not ok'} {count} - {name}" + (f" # {detail}" if detail and good else ""))
    if not good:
        print(f"# {detail}")


class Browser:
    """WebDriver over HTTP, with Chromium's own protocol for what it lacks."""

    def __init__(self):
        self.process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "successfully on port " in line:
                self.base = f"http://127.0.0.1:{line.rsplit('on port ', 1)[1].strip(' .' + chr(10))}/session"
                break
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.base += "/" + self.call("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def call(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def cdp(self, command, **params):
        return self.call("/goog/cdp/execute", {"cmd": command, "params": params})

    def run(self, script, *args):
        return self.call("/execute/sync", {"script": script, "args": list(args)})

    def log(self):
        return [entry["message"] for entry in self.call("/se/log", {"type": "browser"})]

    def key(self, name):
        codes = {"Tab": 9, "Enter": 13, "ArrowRight": 39, "Escape": 27}
        for kind in ("rawKeyDown", "keyUp"):
            extra = {"text": "\r"} if name == "Enter" and kind == "rawKeyDown" else {}
            self.cdp("Input.dispatchKeyEvent", type="keyDown" if extra else kind, key=name, code=name,
                     windowsVirtualKeyCode=codes[name], **extra)

    def shape(self, width, height, scheme):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def shoot(self, name):
        if not SHOTS:
            return
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return window.innerWidth")
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=True,
                        clip={"x": 0, "y": 0, "width": width, "height": min(height, 3000), "scale": 1})
        with open(os.path.join(SHOTS, name + ".png"), "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def close(self):
        self.call("", method="DELETE")
        self.process.terminate()


def look(browser, path, name):
    """How a page opens and fits."""
    start = time.monotonic()
    browser.call("/url", {"url": "file://" + path})
    seconds = time.monotonic() - start
    timing = browser.run("const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime")
    check(f"{name}: opens in under a second", timing < 1000 * SLOW, f"{timing:.0f} ms in the browser, {seconds * 1000:.0f} ms in all, "
          f"{os.path.getsize(path)} bytes")
    check(f"{name}: nothing on the console", not (messages := browser.log()), str(messages))
    said = browser.run("return document.getElementById('thumb-high').textContent")
    most = max(max(d["cells"]) * len(d["cells"]) / max(layer["placed"], 1) for layer in browser.run("return data.layers")
               for d in layer["density"][:1])
    check(f"{name}: small densities have one scale", said == f"{most:.1f} times an even spread", said)
    for width in (1280, 400):
        for scheme in ("light", "dark"):
            browser.shape(width, 900, scheme)
            over = browser.run("const e = document.documentElement; return e.scrollWidth - e.clientWidth")
            check(f"{name}: {width} pixels, {scheme}: no sideways scrolling", over <= 0, f"{over} pixels too wide")
            low = browser.run(CONTRAST)
            check(f"{name}: {width} pixels, {scheme}: text stands out", not low, str(low))
            browser.shoot(f"{name}-{width}-{scheme}")
    colors = browser.run("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
    check(f"{name}: dark is dark", colors[1] == "rgb(21, 24, 28)", str(colors))


# Texts whose contrast to what they stand on is below 4.5, WCAG's level AA.
CONTRAST = """
const luminance = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const parts = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3);
  }
  return [255, 255, 255];
};
const low = new Set();
for (const e of document.querySelectorAll('body *')) {
  if (e.closest('svg, script, noscript, [hidden]') || e.disabled) continue;
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
  const [a, b] = [luminance(parts(getComputedStyle(e).color).slice(0, 3)), luminance(ground(e))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) low.add(`${e.tagName} ${e.className} ${e.textContent.slice(0, 20)}`);
}
return [...low];
"""


def choose(browser, control, value):
    browser.run("const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))", control, value)


def tip(browser):
    return browser.run("const t = document.getElementById('tip'); return t.hidden ? '' : t.textContent")


def point(browser, x, y):
    browser.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def middle(browser, selector):
    return browser.run("const e = document.querySelector(arguments[0]); e.scrollIntoView({ block: 'center' });"
                       "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]", selector)


def walk(browser, name):
    """Tab, arrows and Escape."""
    browser.run("document.activeElement.blur(); scrollTo(0, 0)")
    reached, unseen = [], []
    for _ in range(60):
        browser.key("Tab")
        now = browser.run("""
          const e = document.activeElement, s = getComputedStyle(e.type === 'radio' ? e.nextElementSibling : e);
          const what = e.id || (e.closest('#window') ? 'element' : e.name || e.closest('table')?.id || e.tagName);
          return [what, s.outlineStyle !== 'none' || !!document.querySelector('.cursor')];""")
        if now[0] == "BODY":
            break
        reached.append(now[0])
        if not now[1]:
            unseen.append(now[0])
        if now[0] == "element":
            first = tip(browser)
            row = browser.run("return document.querySelector('#elements .chosen td').textContent")
            browser.key("ArrowRight")
            second = tip(browser)
            label = browser.run("return document.activeElement.getAttribute('aria-label')")
            browser.key("Escape")
            check(f"{name}: focus tells about an element", "weight" in first and f"element  {row} of" in first, first)
            check(f"{name}: an arrow goes on to the next", second not in ("", first) and label == second.replace("  ", " ").replace("\n", ", "),
                  f"{second} | {label}")
            check(f"{name}: Escape hides the tip", tip(browser) == "")
    wanted = ("sort", "layer", "show", "output", "next", "element", "elements", "layer-table", "SUMMARY")
    check(f"{name}: Tab reaches every control", all(w in reached for w in wanted) and not {"axes", "input"} & set(reached), str(reached))
    check(f"{name}: the focus is always visible", not unseen, str(unseen))


def explore(browser, name):
    """Pointer, choices and what they show."""
    browser.run("document.activeElement.blur()")
    point(browser, *middle(browser, ".element:last-of-type circle"))
    check(f"{name}: hover tells about an element", "weight" in tip(browser), tip(browser))
    point(browser, 2, 2)
    check(f"{name}: and hides when the pointer leaves", tip(browser) == "", tip(browser))
    kernels = browser.run("return data.layers[0].kernels.length * data.layers[0].K")
    choose(browser, "show", "overlay")
    check(f"{name}: all kernels overlaid", (n := browser.run("return document.querySelectorAll('#window .disc').length")) == kernels, f"{n} of {kernels}")
    browser.shoot(f"{name}-overlay")
    spot = browser.run("document.getElementById('window').scrollIntoView({ block: 'center' });"
                       "const r = document.querySelector('#window .disc:last-of-type').getBoundingClientRect();"
                       "return [r.x + r.width / 2, r.y + r.height / 2]")
    point(browser, *spot)
    told = ""
    for kind in ("mousePressed", "mouseReleased"):
        browser.cdp("Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], button="left", clickCount=1)
        told = told or tip(browser)
    opened = browser.run("return [document.getElementById('show').value, document.getElementById('output').value]")
    check(f"{name}: a click opens the kernel of an element", opened[0] == "kernel" and f"channel  {opened[1]}\n" in told, f"{told} {opened}")
    for view in ("density", "dense"):
        choose(browser, "show", view)
        point(browser, *middle(browser, "#window image"))
        check(f"{name}: {view}: hover tells about a cell", "row  0" in tip(browser) and "column  0" in tip(browser), tip(browser))
        browser.run("document.getElementById('window').focus()")
        for _ in range(3):
            browser.key("ArrowRight")
        said = browser.run("return document.getElementById('said').textContent")
        check(f"{name}: {view}: arrows go from cell to cell, aloud", "column 3" in said, said)
        browser.shoot(f"{name}-{view}")
        browser.run("document.activeElement.blur()")
    choose(browser, "show", "kernel")
    choose(browser, "output", "0")
    before = browser.run("return document.querySelector('#window .element').getAttribute('aria-label')")
    browser.run("document.getElementById('next').click()")
    after = browser.run("return [document.querySelector('#window .element').getAttribute('aria-label'), document.getElementById('output').value]")
    check(f"{name}: the next channel", before != after[0] and after[1] == "1", f"{before} {after}")


def tables(browser, name):
    rows = "return [...document.querySelectorAll('#layer-table tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    titles = browser.run("return [...document.querySelectorAll('#layer-table th')].map((c) => c.textContent)")
    choose(browser, "sort", "std down")
    column = next(i for i, title in enumerate(titles) if title.startswith("std P"))
    table = browser.run(rows)
    values = [float(row[column]) for row in table]
    check(f"{name}: layers sorted by how far positions lie apart", values == sorted(values, reverse=True) and len(values) > 1, str(values))
    thumbs = browser.run("return [...document.querySelectorAll('#layers label')].map((l) => l.textContent)")
    check(f"{name}: and those to choose from with them", thumbs == [row[0] for row in table], str(thumbs))
    browser.run("document.querySelector('#layer-table th button').click()")
    names = [row[0] for row in browser.run(rows)]
    check(f"{name}: a heading sorts by name", names == sorted(names), str(names))
    browser.run("document.querySelectorAll('#layer-table td button')[1].click()")
    shown = browser.run("return [document.getElementById('chosen').textContent, document.querySelector('#layers :checked').parentElement.textContent]")
    check(f"{name}: a layer chosen in the table is shown", shown == [names[1]] * 2, f"{shown} {names[1]}")
    browser.run("document.querySelector('details').open = true")
    time.sleep(0.1)
    nodes = browser.run("return [document.querySelectorAll('#node-table tbody tr').length, data.nodes.length]")
    check(f"{name}: all operations", nodes[0] == nodes[1] > 0, str(nodes))


def kernels_agree(browser, model, folder, name, settings=()):
    """Kernels made in the page against those that dcls convert makes, to the digits that a page holds. 3-D ones are seen from the front."""
    dense = os.path.join(folder, "dense.json")
    subprocess.run([DCLS, "convert", "-q", "--to", "dense", *settings, model, dense], check=True)
    with open(dense, encoding="utf-8") as file:
        tensors = json.load(file)["tensors"]
    worst, count = 0, 0
    for layer, window, kernels in browser.run("""return data.layers.map((l) => [l.name, l.window, l.kernels.slice(0, 3).map((k) =>
          [k.output, k.input, [...construct(l, k, [[null, 0], [0, 1], [1, 2]][l.window.length - 1]).cells]])])"""):
        tensor = tensors[layer + ".weight"]
        cells = math.prod(window)
        scale = max(abs(v) for v in tensor["data"])
        for output, inward, made in kernels:
            start = (output * tensor["shape"][1] + inward) * cells
            kernel = tensor["data"][start:start + cells]
            wanted = [sum(kernel[i::len(made)]) for i in range(len(made))]
            worst = max(worst, max(abs(a - b) for a, b in zip(made, wanted)) / scale)
            count += 1
    check(f"{name}: constructed kernels are those of dcls convert", count > 0 and worst < 3e-3, f"{worst:.1e} apart")


def versions(path):
    """A state dict with every version, and windows of one to three dimensions, even and unequal. Returns the settings it needs."""
    numbers = random.Random(1)
    tensors, settings = {}, []
    for name, version, window in (("a", "v0", [7, 7]), ("b", "v0", [6]), ("c", "v0", [3, 5, 4]), ("d", "v1", [5, 9]), ("e", "max", [8, 8]),
                                  ("f", "gauss", [3, 5, 7]), ("g", "max", [31])):
        for part, shape, spread in (("weight", [3, 2, 4], 1), ("P", [len(window), 3, 2, 4], 1.5), ("SIG", [len(window), 3, 2, 4], 0.7)):
            if part != "SIG" or version in ("max", "gauss"):
                tensors[f"{name}.{part}"] = {"dtype": "F32", "shape": shape, "data": [numbers.gauss(0, spread) for _ in range(math.prod(shape))]}
        settings += ["--set", f"{name}:version={version}", "--set", f"{name}:dilated_kernel_size={','.join(map(str, window))}"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"format": "dcls-model", "version": 1, "tensors": tensors}, file)
    return settings


def every_version(browser, folder):
    model, page = os.path.join(folder, "versions.json"), os.path.join(folder, "versions.html")
    settings = versions(model)
    subprocess.run([DCLS, "plot", model, "-o", page, *settings], check=True)
    browser.call("/url", {"url": "file://" + page})
    kernels_agree(browser, model, folder, "every version", settings)
    layers = browser.run("return data.layers.length")
    for i in range(layers):
        browser.run("document.querySelectorAll('#layers input')[arguments[0]].click()", i)
        for view in ("overlay", "density", "dense", "kernel"):
            choose(browser, "show", view)
    check("every version: seen in every way", layers == 7 and not (messages := browser.log()), f"{layers} layers")
    choose(browser, "version", "max")
    left = browser.run("return [...document.querySelectorAll('#layers label')].map((l) => l.textContent)")
    shown = browser.run("return document.getElementById('chosen').textContent")
    check("every version: one version chosen", left == ["e", "g"] and shown in left, f"{left} {shown}")


def hostile(path):
    """A model whose names try to leave their place in the page."""
    name = "</script><script>document.title='broken'</script>\"'&<b>"
    model = {"format": "dcls-model", "version": 1, "model": {
        "task": "features", "input": {"channels": 1, "height": 8, "width": 8}, "output": name,
        "nodes": [{"op": "dcls", "name": name, "inputs": ["input"], "weight": "w", "P": "p", "version": "v1", "dilated_kernel_size": 3}]},
        "tensors": {"w": {"dtype": "F32", "shape": [1, 1, 2], "data": [1, -1]},
                    "p": {"dtype": "F32", "shape": [2, 1, 1, 2], "data": [0, 1, 0.5, "NaN"]}}}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(model, file)
    return name


def main():
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        print("1..1\nok 1 - the report in a browser # SKIP chromium and chromedriver are not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser()
        try:
            for name in ("convmixer-dcls-cifar10", "dclsseg-camvid"):
                path = os.path.join(folder, name + ".html")
                subprocess.run([DCLS, "plot", "builtin:" + name, "-o", path], check=True)
                look(browser, path, name)
                browser.shape(1280, 900, "light")
                kernels_agree(browser, "builtin:" + name, folder, name)
                walk(browser, name)
                explore(browser, name)
                tables(browser, name)
                check(f"{name}: still nothing on the console", not (messages := browser.log()), str(messages))
            if len(sys.argv) > 3:
                path = os.path.join(folder, "model.html")
                subprocess.run([DCLS, "plot", sys.argv[3], "-o", path], check=True)
                look(browser, path, "model")
            every_version(browser, folder)
            name = hostile(os.path.join(folder, "hostile.json"))
            path = os.path.join(folder, "hostile.html")
            subprocess.run([DCLS, "plot", os.path.join(folder, "hostile.json"), "-o", path], check=True)
            browser.call("/url", {"url": "file://" + path})
            shown = browser.run("return [document.title, document.querySelector('#layer-table td').textContent, document.scripts.length]")
            check("names are text and nothing else", shown == ["hostile.json: DCLS report", name, 2], str(shown))
            for view in ("overlay", "density", "dense", "kernel"):
                choose(browser, "show", view)
            check("a position that is no number does no harm", not (messages := browser.log()), str(messages))
            browser.run("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"document.title = 1\">')")
            time.sleep(0.2)
            messages = browser.log()
            check("the page's policy runs no other script", browser.run("return document.title") == "hostile.json: DCLS report" and
                  any("Content Security Policy" in message for message in messages), str(messages))
        finally:
            browser.close()
    print(f"1..{count}")
    sys.exit(failed > 0)


main()
