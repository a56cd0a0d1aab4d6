"""Writes an inverse problem with positive truth, drawn from its own log-normal prior."""
import netCDF4
import numpy as np


def write(path, nx, ny, nt, nobs, seed, ratio=0.8, r_sd=3.0):
    """Exponential correlation over 25 km and 2 steps; x_sd = ratio x0, a city in the middle."""
    rng = np.random.default_rng(seed)
    nc, m = nx * ny, nx * ny * nt
    xc, yc = [a.ravel() for a in np.meshgrid(np.arange(nx) * 10.0, np.arange(ny) * 10.0)]
    E = np.exp(-np.hypot(xc[:, None] - xc, yc[:, None] - yc) / 25)
    D = np.exp(-np.abs(np.subtract.outer(np.arange(nt), np.arange(nt))) / 2)
    x0 = np.tile(1 + 3 * np.exp(-((xc - xc.mean())**2 + (yc - yc.mean())**2) / 600), nt)
    s2 = np.log1p(ratio**2)
    Qz = s2 * np.kron(D, E)
    truth = np.exp(np.log(x0) - s2 / 2 + np.linalg.cholesky(Qz) @ rng.standard_normal(m))
    H = np.zeros((nobs, m))
    for i in range(nobs):
        t = i % nt
        f = np.exp(-((xc - rng.uniform(0, nx * 10))**2 + (yc - rng.uniform(0, ny * 10))**2) / 500)
        f[f < 0.02] = 0
        H[i, t * nc:(t + 1) * nc] = f
        if t > 0:
            H[i, (t - 1) * nc:t * nc] = 0.4 * f
    y = H @ truth + r_sd * rng.standard_normal(nobs)
    row, col = np.nonzero(H)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=nobs))])
    f = netCDF4.Dataset(path, "w")
    for k, n in (("obs", nobs), ("state", m), ("nnz", len(col)), ("cell", nc), ("rowp", nobs + 1)):
        f.createDimension(k, n)
    for k, d, t, v in (("y", "obs", "f8", y), ("x0", "state", "f8", x0), ("x_true", "state", "f8", truth),
                       ("x_sd", "state", "f8", ratio * x0), ("xc", "cell", "f8", xc),
                       ("yc", "cell", "f8", yc), ("H_data", "nnz", "f8", H[row, col]),
                       ("H_col", "nnz", "i4", col), ("H_rowptr", "rowp", "i4", ptr)):
        f.createVariable(k, t, (d,))[:] = v
    f.setncatts({"Lx_km": 25.0, "Lt_steps": 2.0, "sigma_r": r_sd, "nt": nt,
                 "cov": "exponential in space and time"})
    f.close()
    return {"x0": x0, "H": H, "y": y, "r_sd": r_sd, "Qz": Qz, "s2": s2, "truth": truth,
            "Q": np.outer(ratio * x0, ratio * x0) * np.kron(D, E)}
