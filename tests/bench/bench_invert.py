"""Inversion benches: exact and iterative, against dense numpy and octave on the same problems.

    bench_invert.py BINARY WORK MAKER [--sizes S,M,L] [--runs N] [--no-octave]
                    [--tools FOLDER] [--svg FILE]

MAKER is the generator of the reference problems. S, M and L are 20 15 8 400, 30 30 8 1500 and
40 40 24 3000. Every run of ours (1 and 2 threads) stands beside numpy's (2 threads of BLAS; mean,
sd of the total, DOFS by a Cholesky factor of the observation-space matrix, the Kronecker product
used) and octave's, so that a busy machine weighs on all. octave takes the same steps in single
statements. CPU seconds are those to compare. skyflux chooses the kernels of an OpenBLAS that
does not know the processor, the others take what they get: OPENBLAS_CORETYPE=SkylakeX (or Haswell)
before the command gives all the same.

--tools: the folder of iterate_tool and kernel_tool; problems of make_million.py with 10⁴, 10⁵ and
10⁶ unknowns and 50 zones, banded and (up to 10⁵) iterative to 1 % of the sd, and the shares that
the kernels reach of dgemm and of a triad. --svg: their times and memory over unknowns. One JSON
line a run.
"""
import argparse
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

SIZES = {"S": (20, 15, 8, 400), "M": (30, 30, 8, 1500), "L": (40, 40, 24, 3000)}

NUMPY = r"""
import sys, json, numpy as np, scipy.sparse as sp, scipy.linalg as la
from netCDF4 import Dataset
f = Dataset(sys.argv[1])
y, x0, xc, yc = (np.array(f[k][:]) for k in ("y", "x0", "xc", "yc"))
n, m, nt = len(y), len(x0), int(f.nt)
H = sp.csr_matrix((np.array(f["H_data"][:]), np.array(f["H_col"][:]), np.array(f["H_rowptr"][:])),
                  shape=(n, m))
sph = lambda h: np.where(h < 1, 1 - 1.5 * h + 0.5 * h**3, 0)
E = sph(np.hypot(xc[:, None] - xc, yc[:, None] - yc) / f.Lx_km)
D = f.sigma_q**2 * sph(np.abs(np.subtract.outer(np.arange(nt), np.arange(nt))) / f.Lt_steps)
V = np.asarray(H.todense()).reshape(n * nt, -1) @ E
HQ = np.einsum("its,tu->ius", V.reshape(n, nt, -1), D).reshape(n, m)
psi = H @ HQ.T
psi[np.diag_indices(n)] += f.sigma_r**2
c = la.cho_factor(psi, lower=True, overwrite_a=True)
w = la.cho_solve(c, y - H @ x0)
a = HQ.sum(1)
var = D.sum() * E.sum() - a @ la.cho_solve(c, a)
dofs = n - f.sigma_r**2 * np.trace(la.cho_solve(c, np.eye(n)))
print(json.dumps({"posterior_total": x0.sum() + a @ w, "posterior_total_sd": var**0.5, "dofs": dofs}))
"""

OCTAVE = r"""
pkg load netcdf
p = argv(){1};
y = ncread(p, 'y'); x0 = ncread(p, 'x0'); xc = ncread(p, 'xc'); yc = ncread(p, 'yc');
v = ncread(p, 'H_data'); col = double(ncread(p, 'H_col')); ptr = double(ncread(p, 'H_rowptr'));
n = numel(y); m = numel(x0); nt = double(ncreadatt(p, '/', 'nt')); nc = m / nt;
row = zeros(numel(v), 1);
for i = 1:n, row(ptr(i)+1:ptr(i+1)) = i; end
H = sparse(row, col + 1, v, n, m);
sph = @(h) (1 - 1.5 * h + 0.5 * h.^3) .* (h < 1);
E = sph(hypot(xc - xc', yc - yc') / ncreadatt(p, '/', 'Lx_km'));
D = ncreadatt(p, '/', 'sigma_q')^2 * sph(abs((1:nt)' - (1:nt)) / ncreadatt(p, '/', 'Lt_steps'));
HQ = zeros(n, m);
for t = 1:nt
  X = sparse(n, nc);
  for s = 1:nt, X = X + D(t, s) * H(:, (s-1)*nc+1:s*nc); end
  HQ(:, (t-1)*nc+1:t*nc) = X * E;
end
r = ncreadatt(p, '/', 'sigma_r')^2;
L = chol(HQ * H' + r * eye(n), 'lower');
w = L' \ (L \ (y - H * x0)); a = sum(HQ, 2); z = L \ a; Li = inv(L);
printf('{"posterior_total": %.12g, "posterior_total_sd": %.12g, "dofs": %.12g}\n', ...
       sum(x0) + a' * w, sqrt(sum(D(:)) * sum(E(:)) - z' * z), n - r * sum(Li(:).^2));
"""


def measure(name, args, env=None):
    """Wall, CPU and peak memory of one process, and the JSON object of its last line of output."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as log:  # a pipe that nobody empties would stop the program
        p = subprocess.Popen(list(map(str, args)), stdout=subprocess.PIPE, stderr=log,
                             env=dict(os.environ, **(env or {})))
        out = p.stdout.read().decode()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        err = log.read().decode(errors="replace")
    line = {"what": name, "wall_s": round(time.perf_counter() - start, 2),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
            "peak_mb": round(usage.ru_maxrss / 1e3, 1)}
    if p.returncode != 0:
        line["failed"] = err.strip().splitlines()[-1:]
        return line, {}
    text = out[out.index("{"):out.rindex("}") + 1]
    return line, json.loads(text)


def bench_size(o, size):
    path = o.work / f"{size}.nc"
    if not path.exists():
        subprocess.run([sys.executable, o.maker, path, *map(str, SIZES[size])], check=True,
                       stdout=subprocess.DEVNULL)
    ours = [o.binary, "invert", "-p", path, "--json", "-q", "--progress=none"]
    jobs = []
    for threads in (1, 2):
        for method in ("exact", "iterative"):
            if size != "L" or method == "exact":
                jobs.append((f"skyflux {method}, {threads} threads",
                             ours + ["--method", method, "--threads", threads]))
    jobs.append(("numpy, 2 threads", [sys.executable, "-c", NUMPY, path]))
    if o.octave:
        script = o.work / "direct.m"
        script.write_text(OCTAVE)
        jobs.append(("octave, 2 threads", ["octave-cli", "-q", script, path]))
    want = None
    for run in range(o.runs):
        for name, args in jobs:
            line, answer = measure(name, args, {"OPENBLAS_NUM_THREADS": "2"})
            if answer:
                numbers = [answer[k] for k in ("posterior_total", "posterior_total_sd", "dofs")]
                want = want or numbers
                line["difference"] = max(abs(a / b - 1) for a, b in zip(numbers, want))
            print(json.dumps({"size": size, "run": run, **line}), flush=True)


def as_skyflux(o):
    """The environment that skyflux gives itself: threads that wait sleep, kernels for this processor."""
    version = subprocess.run([o.binary, "--version"], check=True, capture_output=True, text=True).stdout
    kernels = re.search(r"^OpenBLAS .* (\w+) MAX_THREADS", version, re.M)
    return {"OMP_WAIT_POLICY": "passive"} | ({"OPENBLAS_CORETYPE": kernels[1]} if kernels else {})


def bench_scaling(o):
    """10⁴, 10⁵, 10⁶ unknowns, an observation for every 50 of them, 10 x 5 zones."""
    env = as_skyflux(o)
    maker = pathlib.Path(__file__).with_name("make_million.py")
    lines = []
    for side, times, n in ((30, 11, 200), (70, 20, 2000), (200, 25, 20000)):
        path = o.work / f"local{side}.nc"
        if not path.exists():
            subprocess.run([sys.executable, maker, path, str(side), str(times), str(n)], check=True)
        for method in ("banded", "iterative"):
            if method == "iterative" and side == 200 and not o.iterate_million:
                continue
            for threads in (1, 2):
                line, answer = measure(f"skyflux {method}, {threads} threads", [
                    o.tools / "iterate_tool", path, side, 10, 5, 0.01, threads, method], env)
                lines.append({"method": method, "threads": threads, **answer, **line})
                print(json.dumps(lines[-1]), flush=True)
    for threads in (1, 2):
        line, answer = measure("kernels", [o.tools / "kernel_tool", path, threads], env)
        print(json.dumps({**line, **answer}), flush=True)
    return lines


def draw(lines):
    """CPU seconds and peak memory over unknowns, logarithmic, one line a method (1 thread)."""
    panels, parts = (("cpu_s", "CPU, s"), ("peak_mb", "peak memory, MB")), []
    for k, (key, label) in enumerate(panels):
        x0, y0, wide, high = 70 + 340 * k, 20, 250, 220
        parts.append(f'<rect x="{x0}" y="{y0}" width="{wide}" height="{high}" fill="none" '
                     f'stroke="#888"/><text x="{x0}" y="{y0 - 6}">{label}</text>')

        def at(x, y):
            return x0 + wide * (math.log10(x) - 3.8) / 2.4, y0 + high * (1 - (math.log10(y) + 1) / 5)
        for p in range(4, 7):
            x = at(10**p, 1)[0]
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y0}" y2="{y0 + high}" stroke="#ddd"/>'
                         f'<text x="{x - 12:.0f}" y="{y0 + high + 16}">1e{p}</text>')
        for p in range(-1, 5):
            y = at(1e4, 10.0**p)[1]
            parts.append(f'<line x1="{x0}" x2="{x0 + wide}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                         f'<text x="{x0 - 34}" y="{y + 4:.0f}">1e{p}</text>')
        parts.append(f'<text x="{x0 + wide / 2 - 30}" y="{y0 + high + 32}">unknowns</text>')
        for method, colour in (("banded", "#06c"), ("iterative", "#c40")):
            points = [at(line["unknowns"], max(line[key], 0.1)) for line in lines
                      if line["method"] == method and line["threads"] == 1 and "unknowns" in line]
            if points:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
                parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>'
                             f'<text x="{points[-1][0] - 60:.0f}" y="{points[-1][1] - 6:.0f}" '
                             f'fill="{colour}">{method}</text>')
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="700" height="280" '
            'font-family="sans-serif" font-size="12"><rect width="700" height="280" fill="#fff"/>' +
            "".join(parts) + "</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("maker", type=pathlib.Path)
    parser.add_argument("--sizes", default="S,M,L")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-octave", dest="octave", action="store_false")
    parser.add_argument("--tools", type=pathlib.Path)
    parser.add_argument("--svg", type=pathlib.Path)
    parser.add_argument("--iterate-million", action="store_true")
    o = parser.parse_args()
    o.work.mkdir(parents=True, exist_ok=True)
    if o.octave and shutil.which("octave-cli") is None:
        print("octave-cli is not installed: left out", file=sys.stderr)
        o.octave = False
    for size in o.sizes.split(",") if o.sizes else []:
        bench_size(o, size)
    if o.tools:
        lines = bench_scaling(o)
        if o.svg:
            o.svg.write_text(draw(lines))


if __name__ == "__main__":
    main()
