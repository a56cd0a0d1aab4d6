"""The table that `skyflux run` prints, against zones.csv and truth.csv.

Arguments: binary, data folder, work folder, source folder."""
import csv
import os
import re
import shutil
import subprocess
import sys

binary, _, work, _ = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)


def call(*args, code=0):
    done = subprocess.run([binary, *args], cwd=work, capture_output=True, text=True)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done.stdout, done.stderr


def near(text, value, unit):
    """'605 ± 58' holds value / unit and its deviation, rounded."""
    for shown, want in zip(text.split(" ± "), value):
        places = len(shown.split(".")[1]) if "." in shown else 0
        slack = 0.501 * 10.0 ** -places
        if "±" not in text and "." not in shown:  # four digits
            slack = max(slack, 5.01e-4 * abs(want / unit))
        assert abs(float(shown.replace("\u202f", "")) - want / unit) <= slack, (text, value, unit)


call("synth", "demo", "demo")
plain, _ = call("run", "-q", "demo/demo.yaml")
out, _ = call("run", "-q", "demo/demo.yaml", "--truth", "demo/truth.csv")
assert "truth" not in plain and plain.splitlines()[2].split()[0] == "city"
lines = out.splitlines()
assert lines[0] == "CH4, kt yr⁻¹, ± 1 standard deviation", lines[0]
assert re.split(r"\s{2,}", lines[1].strip()) == ["zone", "truth", "prior", "posterior", "inventory",
                                                 "status"]
with open(f"{work}/demo/result/zones.csv", encoding="utf-8") as f:
    zones = list(csv.DictReader(f))
with open(f"{work}/demo/truth.csv", encoding="utf-8") as f:
    truth = {r["zone_id"]: r for r in csv.DictReader(f)}
for row, line in zip(zones, lines[2:], strict=False):
    zone, *cells, status = re.split(r"\s{2,}", line.strip())
    assert (zone, status) == (row["zone_id"], row["status"]), line
    near(cells[0], [float(truth[zone]["truth_t_yr"])], 1e3)
    for cell, key in zip(cells[1:], ("prior", "posterior", "inventory"), strict=True):
        near(cell, [float(row[f"{key}_t_yr"]), float(row[f"{key}_sd_t_yr"])], 1e3)
assert lines[2 + len(zones)] == ""

# what is wrong with a table of truth is said before anything runs
_, error = call("run", "demo/demo.yaml", "--fresh", "--truth", "nowhere.csv", code=3)
assert "nowhere.csv" in error and "stage" not in error, error
with open(f"{work}/half.csv", "w", encoding="utf-8") as f:
    f.write("zone_id,truth_t_yr\ncity,1\n")
_, error = call("run", "demo/demo.yaml", "--fresh", "--truth", "half.csv", code=3)
assert "half.csv" in error and "no column gas" in error and "stage" not in error, error
with open(f"{work}/word.csv", "w", encoding="utf-8") as f:
    f.write("zone_id,gas,truth_t_yr\ncity,ch4,much\n")
_, error = call("run", "demo/demo.yaml", "-q", "--truth", "word.csv", code=3)
assert "word.csv:2" in error and "much" in error, error
print("ok")
