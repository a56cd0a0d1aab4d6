"""Local mean and variance, and the background, of a 405 000-pixel field against scipy's masked
convolution, paired: bench_background.py COLUMN_KERNELS [ROUNDS]. Prints wall and CPU seconds of each
(our times hold reading and writing of the arrays through pipes) and the largest difference."""
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from scipy.signal import fftconvolve

TOOL, ROUNDS = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
NY, NX, SIGMA, HALF = 900, 450, 10.0, 25
rng = np.random.default_rng(1)
x = 1850 + 15 * rng.standard_normal((NY, NX))
x[rng.random(x.shape) < 0.35] = np.nan
k = np.exp(-(np.arange(-HALF, HALF + 1) / SIGMA) ** 2 / 2)
K = np.outer(k, k)


def scipy_fft():
    m = np.isfinite(x).astype(float)
    centre = np.nanmean(x)
    v = np.where(m > 0, x - centre, 0)
    w = fftconvolve(m, K, mode="same")
    mean = fftconvolve(v, K, mode="same") / w
    var = fftconvolve(v**2, K, mode="same") / w - mean**2
    return mean + centre, var


def ours(threads, data, out):
    data.seek(0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    out.seek(0)
    subprocess.run([TOOL, "localmean", str(NX), str(SIGMA), str(HALF), str(threads)], stdin=data,
                   stdout=out, check=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


with tempfile.TemporaryFile() as data, tempfile.TemporaryFile() as out:
    data.write(x.tobytes())
    data.flush()
    times = {"scipy fftconvolve": [], "ours, 1 thread": [], "ours, 2 threads": []}
    for _ in range(ROUNDS):
        start, cpu = time.perf_counter(), time.process_time()
        mean, var = scipy_fft()
        times["scipy fftconvolve"].append((time.perf_counter() - start, time.process_time() - cpu))
        times["ours, 1 thread"].append(ours(1, data, out))
        times["ours, 2 threads"].append(ours(2, data, out))
    out.seek(0)
    got = np.frombuffer(out.read(), "f8").reshape(3, NY, NX)
print(f"{NY * NX} pixels, kernel {2 * HALF + 1}^2, {os.cpu_count()} cores, median of {ROUNDS}")
for name, t in times.items():
    print(f"{name:20s} wall {np.median([a for a, _ in t]):.3f} s, cpu {np.median([b for _, b in t]):.3f} s")
print("largest difference: mean %.2g, variance %.2g" % (np.abs(got[0] - mean).max(),
                                                        np.abs(got[1] - var).max()))
from scipy.ndimage import convolve  # the direct masked convolution, once: it takes long

start = time.perf_counter()
convolve(np.isfinite(x).astype(float), K, mode="constant")
print(f"scipy ndimage.convolve, one of the three fields: {time.perf_counter() - start:.2f} s")
