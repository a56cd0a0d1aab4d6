#!/usr/bin/python3
"""A large inverse problem of known truth: make_million.py OUT.nc SIDE TIMES OBS [SEED]

SIDE x SIDE cells of 10 km, TIMES steps, with the statistics of the reference problems (spherical
correlation of 60 km and 4 steps, sd 2, observation error 0.5, two cities) as one level. The truth
is drawn exactly: white noise on a padded periodic grid, its FFT times the root of the spectrum, and
the Cholesky factor of the temporal correlation. Footprints are Gaussian plumes upwind, up to 4
steps back, cut where an element falls below 1e-3: about 300 elements a row.
"""
import sys

import netCDF4
import numpy as np

CELL, LENGTH, TAU, SIGMA_Q, SIGMA_R, LAGS, CUT = 10.0, 60.0, 4.0, 2.0, 0.5, 4, 1e-3


def spherical(h):
    return np.where(h < 1, 1 - 1.5 * h + 0.5 * h**3, 0)


def draw_truth(rng, side, times):
    size = side + 2 * int(LENGTH / CELL)  # longer than the support: no copy is felt
    lag = np.minimum(np.arange(size), size - np.arange(size)) * CELL
    spectrum = np.fft.fft2(spherical(np.hypot(lag[:, None], lag) / LENGTH)).real
    assert spectrum.min() > -1e-9
    root = np.sqrt(np.maximum(spectrum, 0))
    step = np.abs(np.subtract.outer(np.arange(times), np.arange(times)))
    L = np.linalg.cholesky(spherical(step / TAU) + 1e-12 * np.eye(times))
    fields = np.stack([np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * root).real
                       [:side, :side].ravel() for _ in range(times)])
    return SIGMA_Q * (L @ fields).ravel()


def plume(x, y, s, height, side):
    """Columns and values of one step back, cut at CUT, by the window that can hold them."""
    reach = s * np.sqrt(2 * np.log(max(height / CUT, 1)))
    ix = np.arange(max(0, int((x - reach) / CELL)), min(side, int((x + reach) / CELL) + 2))
    iy = np.arange(max(0, int((y - reach) / CELL)), min(side, int((y + reach) / CELL) + 2))
    if len(ix) == 0 or len(iy) == 0:
        return np.empty(0, int), np.empty(0)
    f = height * np.exp(-(((ix + 0.5) * CELL - x)**2 + ((iy + 0.5) * CELL - y)[:, None]**2)
                        / (2 * s * s))
    at = np.nonzero(f > CUT)
    return iy[at[0]] * side + ix[at[1]], f[at]


def rows(rng, side, times, n):
    cols, vals, ptr = [], [], [0]
    for _ in range(n):
        x, y = rng.uniform(0, side * CELL, 2)
        t, angle, wind = rng.integers(times), rng.uniform(0, 2 * np.pi), rng.uniform(8, 20)
        count = 0
        for lag in range(min(t, LAGS - 1), -1, -1):  # columns rise with time
            s = 6 + 6 * (lag + 0.5)
            height = 0.3 / (lag + 1) * CELL**2 / (2 * np.pi * s * s) * 10
            c, v = plume(x - (lag + 0.5) * wind * np.cos(angle),
                         y - (lag + 0.5) * wind * np.sin(angle), s, height, side)
            cols.append((t - lag) * side * side + c)
            vals.append(v)
            count += len(c)
        ptr.append(ptr[-1] + count)
    return np.concatenate(cols), np.concatenate(vals), np.array(ptr)


def main():
    path, side, times, n = sys.argv[1], *map(int, sys.argv[2:5])
    rng = np.random.default_rng(int(sys.argv[5]) if len(sys.argv) > 5 else 1)
    centre = (np.arange(side) + 0.5) * CELL
    xc, yc = (a.ravel() for a in np.meshgrid(centre, centre))
    width = side * CELL
    city = sum(a * np.exp(-((xc - fx * width)**2 + (yc - fy * width)**2) / (2 * s * s))
               for a, fx, fy, s in ((8, 0.3, 0.4, 25), (5, 0.7, 0.65, 20)))
    x0 = np.tile(1 + city, times)
    truth = x0 + draw_truth(rng, side, times)
    col, val, ptr = rows(rng, side, times, n)
    y = np.add.reduceat(np.append(val * truth[col], 0), ptr[:-1]) * (np.diff(ptr) > 0)
    y += rng.normal(0, SIGMA_R, n)
    f = netCDF4.Dataset(path, "w")
    for name, size in (("obs", n), ("state", len(x0)), ("cell", len(xc)), ("nnz", len(val)),
                       ("rowp", n + 1), ("level", 1)):
        f.createDimension(name, size)

    def put(name, dim, value, kind="f8"):
        f.createVariable(name, kind, (dim,))[:] = value
    for name, dim, value in (("y", "obs", y), ("x0", "state", x0), ("x_true", "state", truth),
                             ("xc", "cell", xc), ("yc", "cell", yc), ("H_data", "nnz", val),
                             ("cell_width", "cell", np.full(len(xc), CELL))):
        put(name, dim, value)
    put("H_col", "nnz", col, "i4")
    put("H_rowptr", "rowp", ptr, "i4")
    for name, value in (("x0", 0), ("y0", 0), ("dx", CELL), ("dy", CELL), ("nx", side), ("ny", side),
                        ("sigma", SIGMA_Q), ("length", LENGTH)):
        put("level_" + name, "level", float(value))
    f.level_models, f.cov_time = "spherical", "spherical"
    f.Lt_steps, f.sigma_r, f.nt, f.nx, f.ny = TAU, SIGMA_R, times, side, side
    f.close()


if __name__ == "__main__":
    main()
