#!/usr/bin/python3
"""skyflux plan: its numbers are those of the run and of numpy, the output folder stays as it is, and no
scratch is left: after success, failure and SIGINT.

arguments: BINARY DATA WORK SOURCE"""
import csv
import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
from netCDF4 import Dataset

binary, shared, work, source = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
scene, out, temp = f"{work}/scene", f"{work}/result", f"{work}/temp"
os.makedirs(temp)
environment = dict(os.environ, TMPDIR=temp)
subprocess.run([binary, "synth", "demo", scene, "-q"], check=True)
job = f"{scene}/demo.yaml"


def command(name, *options, path=job, sets=()):
    args = [binary, name, path, "--progress=none", *options]
    for s in (f"job.output={out}", *sets):
        args += ["--set", s]
    return args


def call(code, name, *options, **where):
    result = subprocess.run(command(name, *options, **where), capture_output=True, text=True, env=environment,
                            timeout=300)
    assert result.returncode == code, (result.returncode, result.stderr)
    assert os.listdir(temp) == [], os.listdir(temp)
    return result


def plan(code=0, *options, **where):
    result = call(code, "plan", "--json", *options, **where)
    return json.loads(result.stdout), result.stderr


def by(items, key):
    return {item[key]: item for item in items}


def state(folder):
    """Every name with its bytes and time of change."""
    found = {}
    for at, folders, names in os.walk(folder):
        for name in names + folders:
            path = os.path.join(at, name)
            digest = "" if os.path.isdir(path) else hashlib.sha256(open(path, "rb").read()).hexdigest()
            found[path] = (digest, os.stat(path).st_mtime_ns)
    return found


SINK = ("sink_t_yr", "sink_sd_t_yr", "sink_posterior_sd_t_yr", "net_posterior_sd_t_yr")


def same_as_run(planned, folder):
    """Zone by zone and digit by digit; numbers of the CSV read back exactly."""
    with open(f"{folder}/zones.csv") as f:
        rows = list(csv.DictReader(f))
    compared = 0
    for gas in planned["gases"]:
        zones = by(gas.get("zones", []), "zone")
        assert bool(zones) == gas["inverted"], gas["gas"]
        if not zones:
            continue
        facts = json.load(open(f"{folder}/stages/invert-{gas['gas']}.facts.json"))["numbers"]
        assert gas["dofs"] == facts["dofs"] and gas.get("dofs_background") == facts.get("dofs_background")
        if gas.get("observations"):
            assert gas["observations"] == facts["observations"]
        inflation = max(1.0, facts.get("chi2_innovation_per_obs") or 1.0)
        with Dataset(f"{folder}/stages/posterior-{gas['gas']}.nc") as f:
            detectable = np.ma.filled(f["zone_detectable"][:], np.nan) * (1 / 1000)
        mine = [row for row in rows if row["gas"] == gas["gas"]]
        assert [row["zone_id"] for row in mine] == [z["zone"] for z in gas["zones"]]
        for k, row in enumerate(mine):
            zone = zones[row["zone_id"]]
            for key in ("prior_t_yr", "prior_sd_t_yr", "posterior_sd_t_yr", "dofs", "reduction", *SINK):
                if key in SINK and key not in zone:
                    assert row.get(key, "") == "" or key in SINK[:2], (row["zone_id"], key, row[key])
                    continue
                text = row[key]
                assert (zone[key] is None) == (text == ""), (row["zone_id"], key, text, zone[key])
                same = text == "" or zone[key] == float(text) or (  # zones.csv has the sink stage's own
                    key in SINK[:2] and math.isclose(zone[key], float(text), rel_tol=1e-12))
                assert same, (row["zone_id"], key, text, zone[key])
                compared += text != ""
            if zone["prior_sd_t_yr"] is None:
                continue
            if not math.isfinite(detectable[k]):  # unseen: no change is detectable
                assert zone["detectable_t_yr"] is None and zone["detectable_percent"] is None
                continue
            assert zone["detectable_t_yr"] == detectable[k]
            assert math.isclose(zone["detectable_percent"], 100 * detectable[k] / abs(zone["prior_t_yr"]))
            if row["detectable_t_yr"]:
                ours = zone["detectable_inventory_error_t_yr"] * math.sqrt(inflation)
                assert math.isclose(ours, float(row["detectable_t_yr"]), rel_tol=1e-12), (ours, row)
    return compared


# Before anything runs.
before, _ = plan()
assert not os.path.exists(out) and before["output"] == out
ch4 = by(before["gases"], "gas")["ch4"]
stages = by(before["stages"], "stage")
assert all(s["state"] == "to run" for s in stages.values())
assert {name for name, s in stages.items() if s["seconds_measured"]} == {
    "inventory-inventory", "soundings-ch4", "footprint-ch4", "invert-ch4"}
assert all(s["seconds"] > 0 for s in stages.values()), stages
assert math.isclose(before["seconds"], sum(s["seconds"] for s in stages.values()))
assert before["seconds"] < 60, before["seconds"]
granules = [f"{scene}/{n}" for n in os.listdir(scene) if n.startswith("S5P")]
assert ch4["files"] == len(granules) == 2 and ch4["bytes"] == sum(map(os.path.getsize, granules))
text = call(0, "plan").stdout

call(0, "run", "-q")
assert same_as_run(before, out) == 30
facts = json.load(open(f"{out}/stages/soundings-ch4.facts.json"))["numbers"]
assert [ch4[k] for k in ("soundings_good", "soundings_read", "granules")] == [
    facts[k] for k in ("soundings_good", "soundings_read", "granules")]
with open(f"{out}/zones.csv") as f:
    for row in csv.DictReader(f):
        line = next(line.split() for line in text.splitlines() if line.strip().startswith(row["zone_id"] + " "))
        assert line[1:6] == [f"{float(row[k]) * s:.4g}" for k, s in (
            ("prior_t_yr", 1), ("prior_sd_t_yr", 1), ("posterior_sd_t_yr", 1), ("reduction", 100), ("dofs", 1))], line
outputs = {o for s in before["stages"] for o in s["outputs"]}
written = {os.path.relpath(p, out) for p in state(out) if not os.path.isdir(p)}
assert {n for n in written if "stamp" not in n} == outputs | {"run.log.json", "stages/job.json"}, written ^ outputs
print("plan equals run in all digits")

# numpy on the problem of the run: Ψ = HQHᵀ + BΣ_bBᵀ + R, DOFS = tr(Ψ⁻¹HQHᵀ), zone = aᵀQa - ...
with Dataset(f"{out}/stages/problem-ch4.nc") as f:
    value = {k: np.ma.filled(f[k][:]) for k in f.variables}
    m, n = len(value["y"]), len(value["x0"])
H = np.zeros((m, n))
for i in range(m):
    span = slice(value["H_rowptr"][i], value["H_rowptr"][i + 1])
    H[i, value["H_col"][span]] = value["H_data"][span]
lon, lat = np.radians(value["xc"]), np.radians(value["yc"])
h = (np.sin((lat[:, None] - lat) / 2) ** 2 + np.cos(lat[:, None]) * np.cos(lat)
     * np.sin((lon[:, None] - lon) / 2) ** 2)
E = np.exp(-2 * 6371008.8 * np.arcsin(np.sqrt(h)) / 20e3)
HQ = (H * value["x_sd"]) @ E * value["x_sd"]
B = (value["group"][:, None] == np.arange(len(value["b0"]))).astype(float)
psi = HQ @ H.T + (B * value["b_sd"] ** 2) @ B.T + np.diag(value["r_sd"] ** 2)
dofs = np.trace(np.linalg.solve(psi, HQ @ H.T))
assert math.isclose(dofs, ch4["dofs"], rel_tol=1e-9), (dofs, ch4["dofs"])
assert (ch4["observations"], ch4["state"], ch4["offsets"], ch4["nonzeros"]) == (
    m, n, B.shape[1], len(value["H_data"]))
assert ch4["memory_bytes"] > 8 * (n * n + m * n + m * m), ch4["memory_bytes"]
print(f"DOFS {ch4['dofs']:.9g}, numpy {dofs:.9g}")

# After the run: everything is up to date, nothing changes, the numbers are the same.
held = state(out)
after, _ = plan()
assert state(out) == held
assert all(s["up_to_date"] for s in after["stages"]) and after["seconds"] == 0
assert after["gases"] == before["gases"]
# A changed key: what it does not touch is lent from the output folder.
changed, log = plan(sets=("inversions[0].sigma=0.3",))
assert state(out) == held
stages = by(changed["stages"], "stage")
assert stages["soundings-ch4"]["up_to_date"] and not stages["invert-ch4"]["up_to_date"]
assert "stage soundings-ch4" not in log and "stage invert-ch4: done" in log, log
assert changed["gases"][0]["dofs"] < ch4["dofs"]
print("the folder of a run is read, not touched")

# --quick computes nothing and says so.
quick, log = plan(0, "--quick", sets=(f"job.output={work}/none",))
assert quick["quick"] and "zones" not in quick["gases"][0] and quick["seconds"] is None and "stage " not in log
assert "--quick: counts" in call(0, "plan", "--quick").stdout
shutil.rmtree(out)


def fails(code, *needles, **where):
    result = call(code, "plan", **where)
    for needle in needles:
        assert needle in result.stderr, (needle, result.stderr)
    assert not os.path.exists(out)
    return result.stdout


# The plan ends as the run would, and says why.
shown = fails(4, "no good sounding", sets=("period.start=2019-02-13", "period.end=2019-02-14"))
assert "fails: stage soundings-ch4: ch4: no good sounding" in shown, shown
assert [line.split()[1] for line in shown.splitlines() if line.startswith(("footprint-ch4", "compare "))] == ["blocked"] * 2
fails(3, "does not cover", sets=("grid.box=[114.5, 38.5, 116.5, 40.5]",))
fails(1, "5000", sets=("grid.cell=0.02 degree",))
fails(2, "1 lm", sets=("grid.cell=1 lm",))
fails(3, "nothing.nc", sets=(f"inventories[0].file={scene}/nothing.nc",))
os.makedirs(f"{work}/damaged")
for k, path in enumerate(granules):
    with open(path, "rb") as f, open(f"{work}/damaged/{os.path.basename(path)}", "wb") as g:
        g.write(f.read()[:20000 if k == 0 else None])
shown = fails(5, "without 1 unreadable granules", sets=(f"soundings[0].files=[\"{work}/damaged/*.nc\"]",))
assert "degrees of freedom" in shown, shown
result = subprocess.run(command("plan"), capture_output=True, text=True, env=dict(environment, TMPDIR=f"{work}/no"))
assert result.returncode == 1 and f"{work}/no/skyflux-plan-" in result.stderr, result.stderr
print("failures: reason, exit code, no scratch")

# SIGINT and SIGTERM, at the first stage and at random moments.
moment = random.Random(20261121)
stopped = 0
start = time.time()
call(0, "plan")
seconds = time.time() - start
for k in range(16):
    p = subprocess.Popen(command("plan"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                         env=environment)
    for line in p.stderr:
        if "stages that the plan needs" in line:
            assert len(os.listdir(temp)) == 1
            break
    time.sleep(0.0 if k == 0 else moment.random() * seconds)
    number = signal.SIGINT if k % 2 == 0 else signal.SIGTERM
    p.send_signal(number)
    p.stderr.read()
    code = p.wait()
    assert code in (0, 1, -number), code  # killed: it met the last lines of main, after the plan
    stopped += code == 1
    assert os.listdir(temp) == [] and not os.path.exists(out), (k, os.listdir(temp))
assert stopped > 4, stopped
print("stopped by a signal", stopped, "times: no scratch")

# The city: three gases, accounts, a sink layer, patches.
subprocess.run([binary, "synth", "city", f"{work}/city", "-q"], check=True)
city = dict(path=f"{work}/city/city.yaml")
planned, _ = plan(**city)
assert not os.path.exists(out)
call(0, "run", "-q", **city)
assert same_as_run(planned, out) == 7 * (3 * 5 + 4)
gases = by(planned["gases"], "gas")
assert gases["co2"]["state"] == 2 * planned["cells"] > gases["ch4"]["state"] == planned["cells"] > planned["nx"] * planned["ny"]
assert gases["n2o"]["dofs"] < 0.01 < gases["ch4"]["dofs"]
shutil.rmtree(out)
print("city: plan equals run")

# Real files: two gases and one that is not inverted; one inventory that cannot be read stops its gas only.
data = f"{shared}/data"
if os.path.isdir(data):
    real = dict(path=f"{source}/tests/real/harwell.yaml", sets=(f"data={data}",))
    harwell, _ = plan(**real)
    assert not os.path.exists(out)
    call(0, "run", "-q", **real)
    assert same_as_run(harwell, out) == 20
    shutil.rmtree(out)
    real["sets"] += ("inventories[0].variable=flax",)
    harwell, log = plan(3, **real)
    gases = by(harwell["gases"], "gas")
    assert "flax" in gases["ch4"]["failed"] and "zones" not in gases["ch4"], gases["ch4"]
    assert len(gases["co2"]["zones"]) == 2 and "failed" not in gases["co2"]
    assert "flax" in log and not os.path.exists(out)
    permian = dict(path=f"{source}/tests/real/permian.yaml", sets=(f"data={data}",))
    information, _ = plan(**permian)
    call(0, "run", "-q", **permian)
    assert same_as_run(information, out) > 8
    print("real jobs: plan equals run")
print("ok")
