#!/usr/bin/env python3
"""The HTML report in headless Chromium: loads without console messages, fits 1280 and 400 pixels, light and dark, works by keyboard,
hover and choice. Prints TAP; skipped without chromium and chromedriver. Usage: report.py DCLS [FOLDER for screenshots]"""
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

DCLS = os.path.abspath(sys.argv[1])
SHOTS = sys.argv[2] if len(sys.argv) > 2 else None
failed = count = 0


def check(name, good, detail=""):
    global failed, count
    count += 1
    failed += not good
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
        codes = {"Tab": 9, "Enter": 13, "ArrowRight": 39, "End": 35}
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
    start = time.monotonic()
    browser.call("/url", {"url": "file://" + path})
    seconds = time.monotonic() - start
    timing = browser.run("const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime")
    check(f"{name}: opens in under a second", timing < 1000, f"{timing:.0f} ms in the browser, {seconds * 1000:.0f} ms in all, "
          f"{os.path.getsize(path)} bytes")
    check(f"{name}: nothing on the console", not (messages := browser.log()), str(messages))
    for width in (1280, 400):
        for scheme in ("light", "dark"):
            browser.shape(width, 900, scheme)
            over = browser.run("return document.documentElement.scrollWidth - window.innerWidth")
            check(f"{name}: {width} pixels, {scheme}: no sideways scrolling", over <= 0, f"{over} pixels too wide")
            browser.shoot(f"{name}-{width}-{scheme}")
    colors = browser.run("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
    check(f"{name}: dark is dark", colors[1] == "rgb(21, 24, 28)", str(colors))


def use(browser, name):
    """Keyboard, pointer and choices on the page that is open."""
    browser.shape(1280, 900, "light")
    browser.run("document.activeElement.blur()")
    reached = []
    for _ in range(80):
        browser.key("Tab")
        reached.append(browser.run("const e = document.activeElement; return e.id || (e.closest('#window') ? 'element' : e.tagName)"))
        if reached[-1] == "element":
            break
    missing = [wanted for wanted in ("show", "layer", "kernel", "previous", "next", "element") if wanted not in reached] + [n for n in reached if n == "axes"]
    check(f"{name}: Tab reaches every control", not missing, f"not {missing}: {reached}")
    first = browser.run("return document.getElementById('note').textContent")
    browser.key("ArrowRight")
    second = browser.run("return document.getElementById('note').textContent")
    check(f"{name}: focus tells about an element, arrows move on",
          "element0 of" in first and "element1 of" in second and "weight" in second, f"{first} | {second}")
    spot = browser.run("const r = document.querySelectorAll('.element circle')[0].getBoundingClientRect();"
                       "return [r.x + r.width / 2, r.y + r.height / 2]")
    browser.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=spot[0], y=spot[1])
    check(f"{name}: hover tells about an element", browser.run("return document.getElementById('note').textContent").startswith("kernel"))
    elements = browser.run("return document.querySelectorAll('.element').length")
    browser.run("const s = document.getElementById('show'); s.value = 'density'; s.dispatchEvent(new Event('change'))")
    cells = browser.run("return [document.querySelectorAll('.heat').length, document.querySelectorAll('.element').length]")
    check(f"{name}: density in place of elements", elements > 0 and cells[0] > 0 and cells[1] == 0, f"{elements} {cells}")
    browser.run("const s = document.getElementById('show'); s.value = 'elements'; s.dispatchEvent(new Event('change'))")
    names = browser.run("const s = document.getElementById('sort'); s.value = 'std down'; s.dispatchEvent(new Event('change'));"
                        "return [...document.querySelectorAll('#layers tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))")
    titles = browser.run("return [...document.querySelectorAll('#layers th')].map((c) => c.textContent)")
    column = next(i for i, title in enumerate(titles) if title.startswith("std of P"))
    spread = [float(row[column]) for row in names]
    check(f"{name}: layers sorted by spread of positions", spread == sorted(spread, reverse=True) and len(spread) > 1, str(spread))
    browser.run("document.querySelectorAll('#layers td button')[1].click()")
    label = browser.run("return document.getElementById('window').getAttribute('aria-label')")
    check(f"{name}: a layer chosen in the table is shown", label == "window of " + names[1][0], f"{label} {names[1][0]}")
    check(f"{name}: still nothing on the console", not (messages := browser.log()), str(messages))


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
                use(browser, name)
            if len(sys.argv) > 3:
                path = os.path.join(folder, "model.html")
                subprocess.run([DCLS, "plot", sys.argv[3], "-o", path], check=True)
                look(browser, path, "model")
            name = hostile(os.path.join(folder, "hostile.json"))
            path = os.path.join(folder, "hostile.html")
            subprocess.run([DCLS, "plot", os.path.join(folder, "hostile.json"), "-o", path], check=True)
            browser.call("/url", {"url": "file://" + path})
            shown = browser.run("return [document.title, document.querySelector('#layers td').textContent, document.scripts.length]")
            check("names are text and nothing else", shown == ["hostile.json: DCLS report", name, 2], str(shown))
            check("a position that is no number does no harm", not (messages := browser.log()), str(messages))
        finally:
            browser.close()
    print(f"1..{count}")
    sys.exit(failed > 0)


main()
