"""Reads report pages as text, then opens them in headless Chromium when there is one: two samples from
write_sample, and the page of the demo job.

Arguments: binary, data folder, work folder, source folder, write_sample."""
import base64
import csv
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
from osgeo import gdal, ogr, osr

gdal.UseExceptions()
ogr.UseExceptions()
osr.UseExceptions()
binary, sample, work = sys.argv[1], sys.argv[5], sys.argv[3]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([sample, work, "report"], check=True)
subprocess.run([binary, "synth", "demo", os.path.join(work, "demo")], check=True, cwd=work)
subprocess.run([binary, "run", "demo/demo.yaml"], check=True, cwd=work, capture_output=True)


class Page(html.parser.HTMLParser):
    """Collects what the assertions need; an unclosed or stray element is an error."""
    VOID = {"meta", "link", "br", "input", "img"}

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.text = open(path, encoding="utf-8").read()
        self.stack, self.scripts, self.visible, self.links, self.cells = [], [], [], [], []
        self.rows, self.row, self.key, self.unit = {}, None, None, None
        self.feed(self.text)
        assert self.stack == [], self.stack
        self.data = json.loads(next(s for i, s in self.scripts if i == "data"))
        self.words = " ".join(self.visible)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [v for k, v in attrs.items() if k in ("src", "href")]
        if tag == "script":
            self.scripts.append([attrs.get("id"), ""])
        if tag in ("td", "th"):
            self.cells.append("")
            self.key = None
        if tag == "tr":
            self.row = None
            if "data-zone" in attrs:
                self.row = self.rows.setdefault((attrs["data-zone"], attrs["data-gas"]), {})
        if tag == "td" and self.row is not None:
            self.key = attrs.get("data-key")
            self.row[self.key] = ""
            self.row[self.key, "unit"] = self.unit
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
            if self.stack and self.stack[-1] == "caption" and " in " in data:
                unit = re.search(r" in (\w+) yr", data)
                self.unit = {"t": 1, "kt": 1e3, "Mt": 1e6, "Gt": 1e9}[unit[1]] if unit else None
            if "td" in self.stack or "th" in self.stack:
                self.cells[-1] += data
                if self.row is not None and self.key and "small" not in self.stack:
                    self.row[self.key] += data


pages = {name: Page(os.path.join(work, path)) for name, path in
         (("sample", "report.html"), ("city", "city.html"), ("demo", "demo/result/report.html"))}
tables = {"sample": "zones.csv", "city": "city.csv", "demo": "demo/result/zones.csv"}


def words():
    page = pages["sample"]
    for wanted in ["Satellites see more methane", "12 soundings lie outside the grid",
                   "insufficient information", "no footprints", "Degrees of freedom for signal",
                   'East <b>"Land"</b>', "<script>alert(1)</script>", "West & Isle",
                   "too few <observations>"]:
        assert wanted in page.words, wanted  # as text, after unescaping: nothing was taken as markup
    assert "<script>alert(1)" not in page.text
    for cell in ["1.620 ± 0.094", "450 ± 21", "–", "nothing", "91 %", "1893.21 ± 0.40 ppb",
                 "812\u202f345 km²"]:
        assert any(c.startswith(cell) for c in page.cells), (cell, page.cells)
    levels = [c for c in pages["city"].cells if c in ("city", "park")]
    assert levels == ["city", "park"] * 2, levels  # comparison, sinks
    demo = pages["demo"].words
    for wanted in ["Demo city: 605 ± 58 kt yr⁻¹ after the observations, 675 ± 142 before them; the "
                   "inventory says 675 ± 142.",
                   "208 observations carry 2.7 independent pieces of information",
                   "would stay unseen (80 % power)", "rates of the sampled period only",
                   "In East ridge: the observations say too little"]:
        assert wanted in demo, wanted
    for page in pages.values():
        assert not re.search(r"\bnan\b|\binf\b|\(null\)", page.words, re.I)


def shown(text):
    """'1 620 ± 94' -> numbers and half of the last place of the first."""
    text = text.replace("\u202f", "").strip()
    parts = text.split(" ± ")
    mantissa = parts[0].lower().split("e")
    places = len(mantissa[0].split(".")[1]) if "." in mantissa[0] else 0
    exponent = int(mantissa[1]) if len(mantissa) > 1 else 0
    return [float(p) for p in parts], 0.5 * 10.0 ** (exponent - places)


def numbers():
    """Every number of the comparison is the zone table's, rounded."""
    columns = {"prior": "prior", "posterior": "posterior", "inventory": "inventory",
               "scope2": "scope2", "sink": "sink", "sink_posterior": "sink_posterior",
               "net_posterior": "net_posterior", "best": "best"}
    checked = 0
    for name, page in pages.items():
        with open(os.path.join(work, tables[name]), encoding="utf-8") as f:
            table = list(csv.DictReader(f))
        assert len(table) == len(page.rows), name
        for row in table:
            cells = page.rows[row["zone_id"], row["gas"]]
            for key, column in columns.items():
                value, sd = row[column + "_t_yr"], row[column + "_sd_t_yr"]
                if key not in cells:  # a column that this gas does not have at all
                    assert all(r[column + "_t_yr"] == "" for r in table if r["gas"] == row["gas"])
                    continue
                if value == "":
                    assert cells[key] == "–", (name, row["zone_id"], key, cells[key])
                    continue
                got, half = shown(cells[key])
                unit = cells[key, "unit"]
                assert abs(got[0] - float(value) / unit) <= half * 1.0001, (name, key, cells[key])
                assert (len(got) == 2) == (sd not in ("", "0")), (name, key, cells[key], sd)
                if len(got) == 2:
                    assert abs(got[1] / (float(sd) / unit) - 1) <= 0.05, (name, key, cells[key])
                checked += 1
            if row["reduction"] == "":
                assert cells["reduction"] == "–"
            else:
                assert abs(float(cells["reduction"][:-2]) / 100 - float(row["reduction"])) <= max(
                    0.0501 * abs(float(row["reduction"])), 5e-9), (name, cells["reduction"])
            if row["detectable_t_yr"] in ("", "inf"):
                assert cells["detectable"] == ("nothing" if row["detectable_t_yr"] else "–")
            else:
                got, half = shown(cells["detectable"])
                unit = cells["detectable", "unit"]
                assert abs(got[0] - float(row["detectable_t_yr"]) / unit) <= half * 1.0001
    assert checked > 40, checked


def alone():
    for page in pages.values():
        assert page.links == [], page.links  # nothing is loaded from anywhere
        assert "sourceMappingURL" not in page.text and "url(images" not in page.text
        assert "default-src 'none'" in page.text
    assert not re.search(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T", pages["sample"].text)


def mercator(lat):
    return np.log(np.tan(np.pi / 4 + np.radians(lat) / 2))


def picture(image):
    """Palette indices, and the longitude and latitude of every pixel's centre."""
    gdal.FileFromMemBuffer("/vsimem/layer.png", base64.b64decode(image["png"].split(",")[1]))
    pixels = gdal.Open("/vsimem/layer.png").ReadAsArray()
    (south, west), (north, east) = image["bounds"]
    f = (np.arange(pixels.shape[0]) + 0.5) / pixels.shape[0]
    y = mercator(north) - f * (mercator(north) - mercator(south))
    lat = np.degrees(2 * np.arctan(np.exp(y)) - np.pi / 2)
    lon = west + (np.arange(pixels.shape[1]) + 0.5) / pixels.shape[1] * (east - west)
    return pixels, *np.meshgrid(lon, lat)


def pictures():
    data = pages["sample"].data
    assert [z["properties"]["name"] for z in data["zones"]["features"]] == \
        ['East <b>"Land"</b>', "West & Isle"]
    assert len(data["zones"]["features"][1]["geometry"]["coordinates"]) == 2
    image = data["layers"][0]["images"][0]
    (south, west), (north, east) = image["bounds"]
    assert (south, west, north, east) == (40, -10, 60, 20)
    pixels, lon, lat = picture(image)
    hot = pixels == pixels.max()
    assert abs(lon[hot].mean() - 11) < 0.5 and abs(lat[hot].mean() - 52) < 0.5
    row = np.nonzero(hot)[0].mean() + 0.5  # rows even in latitude would show
    assert abs(north - row / pixels.shape[0] * (north - south) - 52) > 0.5
    assert pixels[0, 0] == 0 and pixels[-1, 0] > 0  # no value in the north-west only
    stops = data["layers"][1]["stops"]
    assert stops[4]["label"] == "0" and stops[0]["label"] == "-" + stops[8]["label"]
    chart = data["charts"][0]
    assert chart["zones"][0] == 'East <b>"Land"</b>' and chart["series"][1]["label"] == "Top-down"
    assert abs(chart["series"][1]["value"][0] - 1.62) < 1e-12


def all_rasters():
    """Every GeoTIFF of a job is a picture on its page."""
    result = os.path.join(work, "demo/result")
    tifs = [f for f in os.listdir(result) if f.endswith(".tif")]
    images = sum(len(layer["images"]) for layer in pages["demo"].data["layers"])
    assert images == len(tifs) == 8, (images, tifs)


def projected():
    """Pictures of a projected grid and its patch lie where the cells are, and on the outlines."""
    data = pages["city"].data
    assert [(l["gas"], len(l["images"])) for l in data["layers"]] == [("CO2", 2), ("CH4", 1)]
    assert [(c["gas"], c["level"]) for c in data["charts"]] == [("co2", "city"), ("co2", "park")]
    utm, wgs = osr.SpatialReference(), osr.SpatialReference()
    utm.ImportFromEPSG(32649)
    wgs.ImportFromEPSG(4326)
    wgs.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    to_utm = osr.CoordinateTransformation(wgs, utm)
    boxes = ((250000, 2500000, 48, 1000, 40, 5), (270000, 2520000, 16, 250, 3, 11))
    for image, (x0, y0, n, cell, iy, ix) in zip(data["layers"][0]["images"], boxes):
        pixels, lon, lat = picture(image)
        xy = np.array(to_utm.TransformPoints(np.c_[lon.ravel(), lat.ravel()].tolist()))
        x = (xy[:, 0].reshape(lon.shape) - x0) / cell
        y = (xy[:, 1].reshape(lon.shape) - y0) / cell
        inside = (x > 0) & (x < n) & (y > 0) & (y < n)
        if n == 48:  # what the patch replaces is the patch's
            inside &= ~((x > 20) & (x < 24) & (y > 20) & (y < 24))
        assert ((pixels > 0) == inside).all()
        hot = (x > ix) & (x < ix + 1) & (y > iy) & (y < iy + 1)
        assert hot.sum() >= 36 and ((pixels == 255) == hot).all(), hot.sum()
    # the park's outline is the patch's border: its pixels lie inside, to half a pixel
    outline = data["zones"]["features"][1]
    assert outline["properties"]["name"] == "The park"
    park = ogr.CreateGeometryFromJson(json.dumps(outline["geometry"]))
    pixels, lon, lat = picture(data["layers"][0]["images"][1])
    wrong = 0
    for value, a, b in zip(pixels.ravel(), lon.ravel(), lat.ravel()):
        point = ogr.Geometry(ogr.wkbPoint)
        point.AddPoint_2D(a, b)
        wrong += park.Contains(point) != (value > 0)
    assert wrong <= 0.01 * (pixels > 0).sum(), (wrong, (pixels > 0).sum())
    # with base and patch in one ramp, the same value has the same colour
    assert [len(i["png"]) > 100 for i in data["layers"][0]["images"]] == [True, True]


def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("no chromium: the pages were not opened")
        return
    with tempfile.TemporaryDirectory() as profile:
        def chrome(*options):
            return subprocess.run(
                [chromium, "--headless=new", "--no-sandbox", "--disable-gpu",
                 f"--user-data-dir={profile}", "--virtual-time-budget=6000",
                 "--enable-logging=stderr", *options], capture_output=True, text=True, timeout=120,
                env={**os.environ, "XDG_RUNTIME_DIR": profile})
        for name, ready in (("sample", "2,2"), ("city", "2,3"), ("demo", "1,8")):
            done = chrome("--dump-dom", f"file://{pages[name].path}")
            assert f'data-ready="{ready}"' in done.stdout, re.findall("<html[^>]*>", done.stdout)
            assert "CONSOLE" not in done.stderr, \
                [x for x in done.stderr.splitlines() if "CONSOLE" in x]
        # a page whose script breaks must be seen to break
        broken = os.path.join(work, "broken.html")
        with open(broken, "w", encoding="utf-8") as f:
            f.write(pages["sample"].text.replace("L.map(", "L.mapp("))
        done = chrome("--dump-dom", f"file://{broken}")
        assert 'data-ready="' not in re.findall("<html[^>]*>", done.stdout)[0]
        assert "CONSOLE" in done.stderr
        for name, size in (("desk", "1280,2600"), ("phone", "390,3600")):
            shot = os.path.join(work, f"{name}.png")
            chrome("--hide-scrollbars", f"--window-size={size}", f"--screenshot={shot}",
                   f"file://{pages['city'].path}")
            image = gdal.Open(shot).ReadAsArray()
            assert len(np.unique(image.reshape(image.shape[0], -1), axis=1).T) > 100


for check in (words, numbers, alone, pictures, all_rasters, projected, browser):
    check()
    print(check.__name__, "ok")
