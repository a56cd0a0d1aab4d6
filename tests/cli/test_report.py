"""Reads the report page as text, then opens it in headless Chromium when there is one.

Arguments: binary, data folder, work folder, source folder, write_sample."""
import base64
import html.parser
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from osgeo import gdal

gdal.UseExceptions()
sample, work = sys.argv[5], sys.argv[3]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([sample, work, "report"], check=True)
path = os.path.join(work, "report.html")
text = open(path, encoding="utf-8").read()


class Page(html.parser.HTMLParser):
    """Collects what the assertions need; an unclosed or stray element is an error."""
    VOID = {"meta", "link", "br", "input", "img"}

    def __init__(self):
        super().__init__()
        self.stack, self.scripts, self.visible, self.links, self.cells = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [v for k, v in attrs.items() if k in ("src", "href")]
        if tag == "script":
            self.scripts.append([attrs.get("id"), ""])
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, (tag, self.stack)
        self.stack.pop()

    def handle_data(self, data):
        if "script" in self.stack:
            self.scripts[-1][1] += data
        elif "style" not in self.stack:
            self.visible.append(data)
            if "td" in self.stack or "th" in self.stack:
                self.cells[-1] += data


page = Page()
page.feed(text)
assert page.stack == [], page.stack
visible = " ".join(page.visible)
data = json.loads(next(s for i, s in page.scripts if i == "data"))


def words():
    for wanted in ["Satellites see more methane", "12 soundings lie outside the grid",
                   "insufficient information", "no footprints", "Degrees of freedom for signal",
                   'East <b>"Land"</b>', "<script>alert(1)</script>", "West & Isle"]:
        assert wanted in visible, wanted  # as text, after unescaping: nothing was taken as markup
    assert "<script>alert(1)" not in text
    for cell in ["1.620 ± 0.094 Mt yr⁻¹", "450 ± 21 Mt yr⁻¹edgar, v7", "–", "nothing", "91 %", "9.8 %",
                 "1893.21 ± 0.40 ppb", "812\u202f345 km²"]:
        assert cell in page.cells, (cell, page.cells)
    assert not re.search(r"\bnan\b|\binf\b", visible, re.I)


def alone():
    assert page.links == [], page.links  # nothing is loaded from anywhere
    assert "sourceMappingURL" not in text and "url(images" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T", text)


def pictures():
    assert [z["properties"]["name"] for z in data["zones"]["features"]] == \
        ['East <b>"Land"</b>', "West & Isle"]
    assert len(data["zones"]["features"][1]["geometry"]["coordinates"]) == 2
    layer = data["layers"][0]
    (south, west), (north, east) = layer["bounds"]
    assert (south, west, north, east) == (40, -10, 60, 20)
    gdal.FileFromMemBuffer("/vsimem/layer.png", base64.b64decode(layer["png"].split(",")[1]))
    pixels = gdal.Open("/vsimem/layer.png").ReadAsArray()
    rows, columns = np.nonzero(pixels == pixels.max())
    top, bottom = (math.log(math.tan(math.pi / 4 + math.radians(v) / 2)) for v in (north, south))
    f = (rows.mean() + 0.5) / pixels.shape[0]
    lat = math.degrees(2 * math.atan(math.exp(top - f * (top - bottom))) - math.pi / 2)
    lon = west + (columns.mean() + 0.5) / pixels.shape[1] * (east - west)
    assert abs(lon - 11) < 0.5 and abs(lat - 52) < 0.5, (lon, lat)  # where the sample's source is
    assert abs(north - f * (north - south) - 52) > 0.5  # rows even in latitude would show
    assert pixels[0, 0] == 0 and pixels[-1, 0] > 0  # no value in the north-west only
    stops = data["layers"][1]["stops"]
    assert stops[4]["label"] == "0" and stops[0]["label"] == "-" + stops[8]["label"]
    chart = data["charts"][0]
    assert chart["zones"][0] == 'East <b>"Land"</b>' and chart["series"][1]["label"] == "Top-down"
    assert abs(chart["series"][1]["value"][0] - 1.62) < 1e-12


def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("no chromium: the page was not opened")
        return
    with tempfile.TemporaryDirectory() as profile:
        def chrome(*options):
            return subprocess.run(
                [chromium, "--headless=new", "--no-sandbox", "--disable-gpu",
                 f"--user-data-dir={profile}", "--virtual-time-budget=6000",
                 "--enable-logging=stderr", *options], capture_output=True, text=True, timeout=120,
                env={**os.environ, "XDG_RUNTIME_DIR": profile})
        done = chrome("--dump-dom", f"file://{path}")
        assert 'data-ready="2,2"' in done.stdout, re.findall("<html[^>]*>", done.stdout)
        assert "CONSOLE" not in done.stderr, [x for x in done.stderr.splitlines() if "CONSOLE" in x]
        # a page whose script breaks must be seen to break
        broken = os.path.join(work, "broken.html")
        with open(broken, "w", encoding="utf-8") as f:
            f.write(text.replace("L.map(", "L.mapp("))
        done = chrome("--dump-dom", f"file://{broken}")
        assert 'data-ready="' not in re.findall("<html[^>]*>", done.stdout)[0]
        assert "CONSOLE" in done.stderr
        for name, size in (("desk", "1280,2600"), ("phone", "390,3600")):
            shot = os.path.join(work, f"{name}.png")
            chrome("--hide-scrollbars", f"--window-size={size}", f"--screenshot={shot}",
                   f"file://{path}")
            image = gdal.Open(shot).ReadAsArray()
            assert len(np.unique(image.reshape(image.shape[0], -1), axis=1).T) > 100


for check in (words, alone, pictures, browser):
    check()
    print(check.__name__, "ok")
