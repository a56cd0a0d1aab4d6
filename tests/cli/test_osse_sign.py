#!/usr/bin/python3
"""skyflux invert --osse with --sign: right statistics pass, wrong noise is flagged.

test_osse_sign.py BINARY DATA WORK SOURCE [short | nonnegative | lognormal | rates | members N]"""
import json
import os
import re
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from scipy.stats import chi2, norm

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
PART = sys.argv[5] if len(sys.argv) > 5 else "short"
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
import positive_problem  # noqa: E402


def run(path, *args):
    return subprocess.run([BINARY, "invert", "-p", path, "--progress=none", "--json", *args],
                          capture_output=True, text=True)


def osse(path, sign, members, *args):
    r = run(path, "--sign", sign, "--osse", str(members), *args)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)["osse"]


def binomial_limits(n, p, tail):
    """Smallest and largest count with at most `tail` of the chance beyond, by numpy."""
    k = np.arange(n + 1)
    log_choose = np.cumsum(np.log(np.concatenate([[1], (n - k[:-1]) / (k[:-1] + 1)])))
    pmf = np.exp(log_choose + k * np.log(p) + (n - k) * np.log1p(-p))
    below = np.cumsum(pmf)
    return int(np.sum(below <= tail)), int(np.argmax(1 - below <= tail))


def check(a, members, sign):
    """The verdict by our own reading of the numbers; ranks that add up; a bias within chance."""
    tests = 5 * len(a["zones"]) + 2
    low, high = binomial_limits(members, 0.95, 0.0005 / tests)
    assert np.abs(np.array(a["coverage95_limits"]) - np.array([low, high]) / members).max() < 1e-12
    assert a["members"] == members and a["sign"] == sign and "jb_per_dofs" not in a
    tail = 0.0005 / tests
    assert abs(a["limit_in_sds"] - norm.isf(tail)) < 1e-9
    for name, dof in (("spread", members), ("spread_of_zones", 2 * members), ("spread_joint", 2 * members)):
        limits = chi2.ppf(tail, dof) / dof, chi2.isf(tail, dof) / dof
        near = 3e-2 if members < 100 else 5e-3  # the limits are a little wide, so alarms a little rarer
        assert np.abs(np.array(a[name + "_limits"]) / limits - 1).max() < near, (name, limits)
    inside = [a[k + "_limits"][0] <= a[k] <= a[k + "_limits"][1] for k in ("spread_of_zones", "spread_joint")]
    for z in a["zones"]:
        assert sum(z["rank_histogram"]) == members
        flat = np.array(z["rank_histogram"]) - members / 10
        assert abs(z["rank_chi2"] - np.sum(flat**2) / (members / 10)) < 1e-9
        good = (low <= round(z["coverage95"] * members) <= high
                and a["coverage68_limits"][0] <= z["coverage68"] <= a["coverage68_limits"][1]
                and a["spread_limits"][0] <= z["spread"] <= a["spread_limits"][1]
                and z["rank_chi2"] <= a["rank_chi2_limit"]
                and abs(z["bias"]) <= a["limit_in_sds"] * z["bias_sd"])
        assert z["verdict"] == ("inside" if good else "outside")
        inside.append(good)
    unconverged = members - a["members_converged"]
    if unconverged > 0.05 * members:
        assert a["verdict"] == f"not judged: {unconverged} of {members} members did not converge (more --samples)"
    else:
        assert a["verdict"] == ("calibrated" if all(inside) else "not calibrated")


def along_track(path, share):
    """The same problem with errors correlated along three overpasses."""
    out = path.replace(".nc", "_track.nc")
    shutil.copy(path, out)
    f = netCDF4.Dataset(out, "a")
    n = len(f.dimensions["obs"])
    f.createVariable("overpass", "i4", ("obs",))[:] = np.arange(n) * 3 // n
    f.createVariable("along_track", "f8", ("obs",))[:] = np.arange(n) * 10.0
    f.r_length, f.r_share = 150.0, share
    f.close()
    return out


def own_zones(path):
    """Zones of the file are judged as any other: a zone of all is the total, its half has half the miss."""
    out = path.replace(".nc", "_zones.nc")
    shutil.copy(path, out)
    f = netCDF4.Dataset(out, "a")
    n = len(f.dimensions["cell"])
    f.createDimension("zone", 3)
    f.createVariable("zone_name", str, ("zone",))[:] = np.array(["all", "half of all", "first"], dtype=object)
    f.createVariable("zones", "f8", ("zone", "cell"))[:] = [np.ones(n), np.full(n, 0.5), np.arange(n) == 0]
    f.close()
    for sign in ("gaussian", "nonnegative", "lognormal"):
        how = () if sign == "gaussian" else ("--samples", "400", "--chains", "2")
        zones = {z["zone"]: z for z in osse(out, sign, 40, *how)["zones"]}
        assert list(zones)[-3:] == ["all", "half of all", "first"]
        total = dict(zones["total"], zone="all")
        assert all(np.allclose(np.array(total[k], float), np.array(zones["all"][k], float), rtol=1e-9)
                   for k in total if k not in ("zone", "verdict")), (total, zones["all"])
        half = zones["half of all"]
        assert half["coverage68"] == total["coverage68"] and half["rank_histogram"] == total["rank_histogram"]
        assert abs(half["bias"] / total["bias"] - 0.5) < 1e-9 and abs(half["rmse"] / total["rmse"] - 0.5) < 1e-9
        first = zones["first"]
        assert sum(first["rank_histogram"]) == 40 and first["verdict"] == "inside"


def progress_counts_members(path):
    """Steps of the samplers inside of a member are not those of the experiment."""
    for sign in ("nonnegative", "lognormal"):
        r = subprocess.run([BINARY, "invert", "-p", path, "--progress=plain", "--json", "--sign", sign, "--osse", "20",
                            "--samples", "100"], capture_output=True, text=True)
        shown = [(int(percent), int(done)) for percent, done in re.findall(r"(\d+) % \((\d+) of 20\)", r.stderr)]
        assert r.returncode == 0 and shown[-1] == (100, 20), r.stderr
        assert shown == sorted(shown) and all(p == 5 * n for p, n in shown), r.stderr


def short():
    path = os.path.join(WORK, "small.nc")
    positive_problem.write(path, 3, 2, 2, 24, 7)
    for sign in ("nonnegative", "lognormal"):
        how = ("--samples", "400", "--chains", "2", "--seed", "3")
        a = osse(path, sign, 40, *how)
        check(a, 40, sign)
        assert a["verdict"] == "calibrated", a
        assert a == osse(path, sign, 40, *how, "--threads", "1"), "the thread count is seen"
        b = osse(path, sign, 40, *how, "--noise-factor", "4")
        check(b, 40, sign)
        assert b["verdict"] == "not calibrated", b
        b = osse(path, sign, 40, "--samples", "8", "--chains", "2")  # draws that are worth nothing
        check(b, 40, sign)
        assert b["verdict"].startswith("not judged: ") and b["members_converged"] < 38, b
    own_zones(path)
    progress_counts_members(path)
    for args, word in ((("--osse", "5"), "--osse '5'"), (("--osse", "40", "--huber", "2"), "--huber"),
                       (("--noise-factor", "2"), "go with --osse"),
                       (("--prior-factor", "2"), "go with --osse"),
                       (("--osse", "40", "--prior-factor", "0"), "--prior-factor '0'"),
                       (("--osse", "40", "--length-factor", "x"), "--length-factor 'x'"),
                       (("--osse", "40", "--samples", "3"), "--samples: '3'")):
        r = run(path, "--sign", "nonnegative", *args)
        assert r.returncode == 2 and word in r.stderr and r.stdout == "", (args, r)


def full(sign):
    """200 members. Noise-dominated, so that a noise that is wrong shows; along tracks it is right if R says so."""
    path = os.path.join(WORK, "full.nc")
    positive_problem.write(path, 4, 2, 2, 60, 7, r_sd=0.8)
    how = ("--samples", "400" if sign == "nonnegative" else "700")  # so that members converge
    right = osse(path, sign, 200, *how)
    check(right, 200, sign)
    assert right["verdict"] == "calibrated", right
    track = along_track(path, 0.8)
    b = osse(track, sign, 200, *how)
    check(b, 200, sign)
    assert b["verdict"] == "calibrated", b
    for wrong in (("--noise-factor", "1.4"), ("--noise-correlation", "0.9")):
        b = osse(path, sign, 200, *how, *wrong)
        check(b, 200, sign)
        assert b["verdict"] == "not calibrated", (wrong, b)
        print(sign, *wrong, "spread of zones", b["spread_of_zones"], "joint", b["spread_joint"])
    wrong_prior(sign)


def wrong_prior(sign):
    """Truths of another prior than the stated one, where the prior counts. A cut prior hides its length better."""
    path = os.path.join(WORK, "prior.nc")
    positive_problem.write(path, 3, 2, 2, 24, 7)
    short_or_long = ("1.5", "0.5") if sign == "lognormal" else ("4",)
    for wrong in (("--prior-factor", "1"), ("--length-factor", "1"), ("--prior-factor", "1.5"),
                  ("--prior-factor", "0.5"), *(("--length-factor", f) for f in short_or_long)):
        b = osse(path, sign, 200, "--samples", "400", *wrong)
        check(b, 200, sign)
        assert b["verdict"] == ("calibrated" if wrong[1] == "1" else "not calibrated"), (wrong, b)
        print(sign, *wrong, "spread of zones", b["spread_of_zones"], "joint", b["spread_joint"])


def members(count):
    """400 log-normal unknowns, 4000 observations, the problem of lognormal_hmc: no bias, intervals that cover."""
    path = os.path.join(WORK, "members.nc")
    positive_problem.write(path, 10, 10, 4, 4000, seed=1)
    before = os.times()
    a = osse(path, "lognormal", count, "--samples", "400", "--chains", "4", "--seed", "1")
    cpu = os.times().children_user - before.children_user
    check(a, count, "lognormal")
    for z in a["zones"]:
        print(f"{z['zone']:10s} bias {z['bias']:+.4f} ± {z['bias_sd']:.4f} rmse {z['rmse']:.4f} 68 %: "
              f"{z['coverage68']:.3f} 95 %: {z['coverage95']:.3f} spread {z['spread']:.3f}")
    print(f"{count} members, {a['members_converged']} converged, 68 % limits {a['coverage68_limits']}, 95 % "
          f"{a['coverage95_limits']}, all zones {a['spread_of_zones']:.3f}, joint {a['spread_joint']:.3f} "
          f"({a['spread_joint_limits']}), {cpu:.0f} s of CPU")
    total = a["zones"][0]
    assert abs(total["bias"]) < 3.3 * total["bias_sd"] and total["bias_sd"] < 0.01 * 625  # of the prior's total
    assert a["verdict"] != "not calibrated", a  # some members need more draws than a test has time for
    assert all(z["verdict"] == "inside" for z in a["zones"]), a
    assert all(a[k + "_limits"][0] <= a[k] <= a[k + "_limits"][1] for k in ("spread_of_zones", "spread_joint")), a


def rates():
    """40 right experiments of each sign, none flagged (0.001 each is stated); their pooled numbers are 1 in the mean."""
    path = os.path.join(WORK, "rates.nc")
    positive_problem.write(path, 3, 2, 2, 24, 7)
    for sign in ("nonnegative", "lognormal"):
        found = [osse(path, sign, 50, "--samples", "200", "--chains", "2", "--seed", str(100 + k)) for k in range(40)]
        flagged = sum(a["verdict"] != "calibrated" for a in found)
        assert flagged <= 1, flagged
        for name in ("spread_of_zones", "spread_joint"):
            value = np.array([a[name] for a in found])
            sd = 1 / np.sqrt(50)  # of one: a mean of 50 exponentials
            print(sign, name, "mean", value.mean(), "sd", value.std(ddof=1), "of", sd, "flagged", flagged)
            assert abs(value.mean() - 1) < 3.3 * sd / np.sqrt(40), (sign, name, value.mean())
            assert 0.6 < value.std(ddof=1) / sd < 1.4, (sign, name, value.std(ddof=1))


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    if PART == "short":
        short()
    elif PART == "rates":
        rates()
    elif PART == "members":
        members(int(sys.argv[6]))
    else:
        full(PART)
    print("ok")


main()
