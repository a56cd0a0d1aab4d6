"""Throughput of VPRM: cell-hours a second, and bytes a second as a fraction of a STREAM triad that is
measured in the same process, for 1 and 2 threads and 1, 3 and 7 classes.

    bench_vprm.py BINARY DATA WORK ROOT vprm_kernels [--cells 4000000] [--seconds 3]

One JSON line a run; then the ratio from 1 to 2 threads. Whatever the number of threads, the values must be
the same: that is asserted, the speed is only told (a busy machine says little about it)."""
import argparse
import json
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("frame", nargs=4)
    parser.add_argument("kernels")
    parser.add_argument("--cells", type=int, default=4000000)
    parser.add_argument("--seconds", type=float, default=3)
    a = parser.parse_args()
    for classes in (1, 3, 7):
        runs = []
        for threads in (1, 2):
            out = subprocess.run([a.kernels, str(a.cells), str(classes), str(threads), str(a.seconds)],
                                 capture_output=True, text=True, check=True).stdout
            print(out, end="")
            runs.append(json.loads(out))
        assert runs[0]["check"] == runs[1]["check"], runs
        assert all(r["vprm_gb_s"] > 0 and r["triad_gb_s"] > 0 for r in runs)
        print(json.dumps({"classes": classes,
                          "vprm_1_to_2": round(runs[1]["cell_hours_s"] / runs[0]["cell_hours_s"], 3),
                          "triad_1_to_2": round(runs[1]["triad_gb_s"] / runs[0]["triad_gb_s"], 3)}))
    return 0


sys.exit(main())
