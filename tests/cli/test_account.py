#!/usr/bin/python3
"""skyflux account: against an independent computation from the tables, threads, refusals, list."""
import csv
import json
import math
import os
import shutil
import subprocess
import sys

import numpy as np

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
os.chdir(WORK)
HEADER = "region,sector,fuel,amount,unit,sd_percent,source\n"


def run(*args):
    return subprocess.run([BINARY, *args], capture_output=True, text=True)


def table(name):
    with open(os.path.join(SOURCE, "ancillary", name + ".csv"), encoding="utf-8") as f:
        return list(csv.DictReader(line for line in f if not line.startswith("#")))


def write(name, text):
    with open(name, "w", encoding="utf-8") as f:
        f.write(text)
    return name


def fuel(code):
    """t CO2 per t or m3, from the guide of 2015."""
    r = next(r for r in table("co2_fuel_factors") if r["code"] == code and "2015" in r["source"])
    per = 1e4 if "1e4" in r["ncv_unit"] else 1
    return float(r["ncv"]) / per * float(r["carbon_content"]) * float(r["oxidation"]) / 100 * 44 / 12


def grid(region, year):
    r = [r for r in table("grid_heat_factors") if (r["region"], r["data_year"], r["basis"]) ==
         (region, str(year), "电力平均")]
    assert len(r) == 1
    return float(r[0]["value"])


ROWS = [  # region, sector, fuel, amount, unit, sd %, scope, group, t CO2
    ("county-1", "industry", "bituminous", 1000, "t", 3, "S1", "b", 1000 * fuel("bituminous")),
    ("county-1", "transport", "diesel", 2.5, "kt", 10, "S1", "d", 2500 * fuel("diesel")),
    ("county-1", "homes", "natural_gas", 120, "10^4 m3", 5, "S1", "n", 1.2e6 * fuel("natural_gas")),
    ("county-1", "homes", "electricity", 3, "GWh", 1, "S2", "e", 3e3 * grid("广东", 2022)),
    ("county-2", "industry", "bituminous", 7, "kt", 2, "S1", "b", 7000 * fuel("bituminous")),
    ("county-2", "industry", "heat", 50, "TJ", 4, "S2", "h", 50e3 * 0.11),
    ("county-2", "industry", "electricity", 5000, "万kWh", 1, "S2", "e", 5e4 * grid("广东", 2022)),
]
FACTOR_SD = 0.05


def independent():
    """Totals and covariance by the words of account.md."""
    keys = [(r, s) for r in ("county-1", "county-2") for s in ("S1", "S2")]
    value = {k: math.fsum(x[8] for x in ROWS if (x[0], x[6]) == k) for k in keys}
    n = len(ROWS)
    line = np.zeros((n, n))
    for i, a in enumerate(ROWS):
        for j, b in enumerate(ROWS):
            line[i, j] = a[8] * b[8] * FACTOR_SD**2 * (a[7] == b[7])
        line[i, i] = a[8]**2 * ((1 + (a[5] / 100)**2) * (1 + FACTOR_SD**2) - 1)
    pick = np.array([[(x[0], x[6]) == k for x in ROWS] for k in keys], float)
    return keys, value, pick @ line @ pick.T


def check_totals():
    path = write("a.csv", HEADER + "".join(
        ",".join(map(str, r[:6])) + ",yearbook\n" for r in ROWS))
    args = ("account", path, "--year", "2022", "--electricity", "provincial", "--region",
            "Guangdong", "--json", "-o", "lines.csv")
    seen = []
    for threads in ("1", "2", "5"):
        r = run(*args, "--threads", threads)
        assert r.returncode == 0, r.stderr
        seen.append((r.stdout, open("lines.csv", "rb").read()))
    assert seen[0] == seen[1] == seen[2]
    answer = json.loads(seen[0][0])
    keys, value, cov = independent()
    assert [(t["region"], t["scope"]) for t in answer["totals"]] == keys
    for i, (t, k) in enumerate(zip(answer["totals"], keys)):
        assert math.isclose(t["emission_t"], value[k], rel_tol=1e-13), (k, t, value[k])
        assert math.isclose(t["sd_t"]**2, cov[i, i], rel_tol=1e-12)
        assert ("F-TD" in t["flags"]) == (k[1] == "S2") and "F-SCOPE" in t["flags"]
        assert "F-COVER" in t["flags"]
    shared = np.array(answer["shared_t"])
    assert shared.shape == (4, 5)
    np.testing.assert_allclose(shared @ shared.T + np.diag(answer["own_t2"]), cov, rtol=1e-12, atol=0)
    assert cov[0, 2] > 0 and cov[0, 1] == 0
    for f in answer["factors"]:
        assert f["source"] and f["verified"].startswith("yes") and not f["allowed"], f
    assert len(answer["factors"]) == 6  # five factors and the source of their sd
    lines = list(csv.DictReader(open("lines.csv", encoding="utf-8")))
    assert len(lines) == len(ROWS)
    for l, r in zip(lines, ROWS):
        assert (l["region"], l["fuel"], l["scope"], l["gas"]) == (r[0], r[2], r[6], "co2")
        assert math.isclose(float(l["emission_t"]), r[8], rel_tol=1e-13)
    text = run(*args[:8]).stdout
    assert "county-1  co2  S1" in text and "grid_heat_factors:广东:2022" in text, text


def check_missing():
    path = write("m.csv", HEADER + "a,i,coke,,t,5,book\na,i,diesel,0,t,5,book\nb,i,coke,0,t,5,book\n")
    totals = json.loads(run("account", path, "--year", "2023", "--json").stdout)["totals"]
    by = {(t["region"], t["scope"]): t for t in totals}
    assert by["a", "S1"]["emission_t"] is None and "m.csv:2: amount is empty" in by["a", "S1"]["reason"]
    assert by["b", "S1"]["emission_t"] == 0 and by["b", "S1"]["reason"] == ""
    assert by["b", "S2"]["emission_t"] is None and by["b", "S2"]["reason"] == "no row of this scope"


def check_unverified():
    path = write("u.csv", HEADER + "a,i,raw_coal,1000,t,0,book\n")
    base = ("account", path, "--year", "2023", "--carbon", "tce")
    first, second = "co2_fuel_factors:coal_tce:-", "standard_coal_factors:raw_coal:2020"
    r = run(*base)
    assert r.returncode == 2 and f"u.csv:2: {first}" in r.stderr and "--allow-unverified" in r.stderr
    r = run(*base, "--allow-unverified", first)
    assert r.returncode == 2 and second in r.stderr, r.stderr
    r = run(*base, "--allow-unverified", first, "--allow-unverified", second, "--json")
    answer = json.loads(r.stdout)
    assert math.isclose(answer["totals"][0]["emission_t"], 1900.038, rel_tol=1e-13)
    assert "F-UNVERIFIED" in answer["totals"][0]["flags"]
    assert [f["allowed"] for f in answer["factors"]] == [True, True, False]
    r = run(*base, "--allow-unverified", "coal")
    assert r.returncode == 2 and "'coal' is no table:key:edition" in r.stderr


def check_refusals():
    cases = [
        ("a,i,coke,1,t,5,b\na,i,coke,2,t,5,b\n", (), 3, ":3: region 'a', sector 'i', fuel 'coke'"),
        ("a,i,desel,1,t,5,b\n", (), 3, ":2: fuel: unknown 'desel'; did you mean 'diesel'?"),
        ("a,i,diesel,1,m3,5,b\n", (), 3, ":2: unit: 'm3' does not fit diesel (legal: t, kg"),
        ("a,i,diesel,1,ton,5,b\n", (), 3, ":2: unit: 'ton' measures no"),
        ("a,i,diesel,-1,t,5,b\n", (), 3, ":2: amount: '-1'"),
        ("a,i,diesel,nan,t,5,b\n", (), 3, ":2: amount: 'nan'"),
        ("a,i,electricity,1,GWh,5,b\n", (), 2, ":2: electricity needs a method"),
        ("a,i,electricity,1,GWh,5,b\n", ("--electricity", "grid"), 2, "'grid' is not one of national"),
        ("a,i,electricity,1,GWh,5,b\n", ("--electricity", "national", "--year", "2030"), 4,
         "no national grid factor of 全国 for 2030"),
        ("a,i,heat,1,GJ,5,b\n", ("--electricity", "national", "--region", "Hebei"), 2,
         "--region 'Hebei' needs --electricity regional or provincial"),
        ("a,i,coke,1,t,5,b\n", ("--year", "2023.5"), 2, "'2023.5' is not a whole year"),
        ("a,i,coke,1,t,5,b\n", ("--factor-sd", "-1"), 2, "--factor-sd: '-1' is not a number from 0"),
    ]
    for text, args, code, message in cases:
        r = run("account", write("bad.csv", HEADER + text), "--year", "2023", *args, "-o", "bad.out")
        assert r.returncode == code and message in r.stderr, (text, r.returncode, r.stderr)
        assert not os.path.exists("bad.out")
    r = run("account", "bad.csv")
    assert r.returncode == 2 and "--year Y is missing" in r.stderr
    r = run("account", "none.csv", "--year", "2023")
    assert r.returncode == 3 and "none.csv" in r.stderr


def check_own_factors():
    own = write("own.csv", "fuel,value,unit,sd_percent,source\nclinker,0.53,tCO2/t,4,plant\n"
                           "raw_coal,2660,kgCO2/tce,2,plant\nraw_coal,0.72,tce/t,1,plant\n")
    path = write("p.csv", HEADER + "a,cement,clinker,10,kt,0,book\na,cement,raw_coal,100,t,0,book\n")
    t = json.loads(run("account", path, "--year", "2023", "--factors", own, "--json").stdout)["totals"][0]
    coal = 100 * 0.72 * 2.66
    assert math.isclose(t["emission_t"], 5300 + coal, rel_tol=1e-13)
    var = (5300 * 0.04)**2 + coal**2 * ((1 + 0.01**2) * (1 + 0.02**2) - 1)
    assert math.isclose(t["sd_t"], math.sqrt(var), rel_tol=1e-12)


def check_list():
    rows = json.loads(run("list", "factors", "--json").stdout)
    names = {r["factor"]: r for r in rows}
    assert names["gwp100:CH4:AR6"]["value"] == "27.9 kg/kg"
    assert names["standard_coal_factors:lpg:2020"]["verified"] == "no"
    assert all(r["source"] and r["verified"] for r in rows)
    assert len(rows) > 430


def check_calorific_values():
    """Every NCV agrees with the coal equivalent of its own edition within 0.4 %."""
    n = 0
    for r in table("standard_coal_factors"):
        if r["ncv_unit"] not in ("kJ/kg", "kJ/m3") or "~" in r["ncv"] or not r["ncv"]:
            continue
        ratio = float(r["ncv"]) / float(r["factor"])
        assert min(abs(ratio / 29271.2 - 1), abs(ratio / 29307.6 - 1)) < 0.004, r
        n += 1
    assert n > 40, n


for check in (check_totals, check_missing, check_unverified, check_refusals, check_own_factors,
              check_list, check_calorific_values):
    check()
