"""Do the printed intervals hold the truth as often as they say? 200 invented cities, whole chain.

matched: the truth is drawn from what the job assumes. Required for every zone and gas (the prior
layer, and for CO2 also the sink layer and their sum): the 68 % interval holds the truth in 114 to
157 of 200 draws and the 95 % interval in 180 to 199 (binomial, 99.9 %); per gas, the mean posterior
sd is within 10 % of the root mean square error; for CO2 and CH4 the error is smaller than the
prior's; N2O of an ordinary city stays within 5 % of its prior and has insufficient information.

mismatched (ARGS mismatched): the same numbers, printed and not required.

Arguments: skyflux, data folder, work folder, source folder, case [number of draws; the interval
counts are required of 200 only].
Prints one JSON line a zone, gas and layer.
"""
import concurrent.futures
import csv
import json
import math
import os
import shutil
import subprocess
import sys

SKYFLUX, _, WORK = (os.path.abspath(a) for a in sys.argv[1:4])
CASE = sys.argv[5]
DRAWS = int(sys.argv[6]) if len(sys.argv) > 6 else 200
INSIDE_68, INSIDE_95 = (114, 157), (180, 199)  # of 200
Z68, Z95 = 0.994457883, 1.959963985  # two-sided standard normal


def draw(seed):
    """Errors and sds of one city: {(gas, zone, layer): (error, sd, prior error, change, status)}."""
    folder = f"{WORK}/{CASE}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    for args in (["synth", "city", folder, "--seed", str(seed), "--case", CASE],
                 ["run", f"{folder}/city.yaml", "--stage", "compare", "--threads", "1"]):
        done = subprocess.run([SKYFLUX, *args], capture_output=True, text=True,
                              env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert done.returncode == 0, (seed, args, done.returncode, done.stderr)
    with open(f"{folder}/truth.csv", newline="") as f:
        truth = {(r["gas"], r["zone_id"]): r for r in csv.DictReader(f)}
    out = {}
    with open(f"{folder}/result/zones.csv", newline="") as f:
        for r in csv.DictReader(f):
            t = truth[r["gas"], r["zone_id"]]
            x = {k: float(v) for k, v in r.items() if k.endswith("_t_yr") and v}
            layers = [("flux", float(t["truth_t_yr"]), "posterior", "prior_t_yr")]
            if t["sink_truth_t_yr"]:
                sink = float(t["sink_truth_t_yr"])
                layers += [("sink", sink, "sink_posterior", "sink_t_yr"),
                           ("net", layers[0][1] + sink, "net_posterior", None)]
            for layer, true, name, prior in layers:
                before = x[prior] if prior else x["prior_t_yr"] + x["sink_t_yr"]
                value, sd = x[name + "_t_yr"], x[name + "_sd_t_yr"]
                out[r["gas"], r["zone_id"], layer] = (value - true, sd, before - true,
                                                      abs(value / before - 1), r["status"])
    shutil.rmtree(folder)
    return out


def rms(values):
    return math.sqrt(sum(v * v for v in values) / len(values))


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        draws = list(pool.map(draw, range(1, DRAWS + 1)))
    faults = []
    mean_z2 = {}
    for key in sorted(draws[0]):
        got = [d[key] for d in draws]
        inside68 = sum(abs(e) <= Z68 * s for e, s, *_ in got)
        inside95 = sum(abs(e) <= Z95 * s for e, s, *_ in got)
        row = {"case": CASE, "gas": key[0], "zone": key[1], "layer": key[2], "draws": DRAWS,
               "inside_68": inside68, "inside_95": inside95,
               "rmse_kt": rms([g[0] for g in got]) / 1e3,
               "mean_sd_kt": sum(g[1] for g in got) / DRAWS / 1e3,
               "prior_rmse_kt": rms([g[2] for g in got]) / 1e3,
               "bias_kt": sum(g[0] for g in got) / DRAWS / 1e3}
        row["sd_over_rmse"] = row["mean_sd_kt"] / row["rmse_kt"]
        print(json.dumps(row))
        mean_z2.setdefault(key[0], []).extend((e / s) ** 2 for e, s, *_ in got)
        if CASE != "matched":
            continue
        for name, count, (low, high) in (("68 %", inside68, INSIDE_68),
                                         ("95 %", inside95, INSIDE_95)):
            if DRAWS == 200 and not low <= count <= high:
                faults.append(f"{key}: the {name} interval holds the truth in {count} of {DRAWS} "
                              f"draws, expected {low} to {high}")
        if key[0] in ("co2", "ch4") and not row["rmse_kt"] < row["prior_rmse_kt"]:
            faults.append(f"{key}: RMSE {row['rmse_kt']} kt is not below the prior's")
        if key[0] == "n2o":
            if not all(g[3] <= 0.05 for g in got):
                faults.append(f"{key}: moved by {max(g[3] for g in got):.1%} from the prior")
            if {g[4] for g in got} != {"insufficient information"}:
                faults.append(f"{key}: statuses {sorted({g[4] for g in got})}")
    for gas, z2 in sorted(mean_z2.items()):
        ratio = 1 / math.sqrt(sum(z2) / len(z2))
        print(json.dumps({"case": CASE, "gas": gas, "posterior_sd_over_rmse": ratio}))
        if CASE == "matched" and not 0.9 <= ratio <= 1.1:
            faults.append(f"{gas}: posterior sd / RMSE = {ratio:.3f} over all zones")
    assert not faults, "\n".join(faults)


main()
