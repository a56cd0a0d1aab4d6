"""A small inverse problem as a file, part by part, so that a test can change one part of it."""
import netCDF4
import numpy as np

WHOLE = ("H_col", "H_rowptr", "group", "zone_col", "zone_rowptr", "overpass", "track", "sensor", "sector")
ATTRIBUTES = {"Lx_km": 30.0, "Lt_steps": 2.0, "sigma_q": 2.0, "sigma_r": 0.5, "nx": 4, "ny": 3, "nt": 2,
              "cov": "spherical in space and exponential in time"}
NC, NT, N = 12, 2, 8


def variables(seed=1):
    """name -> (dimensions, values); each row sees cells of one time step."""
    rng = np.random.default_rng(seed)
    rows = [np.sort(rng.choice(NC, 5, replace=False)) + NC * int(rng.integers(NT)) for _ in range(N)]
    xc, yc = np.meshgrid(10.0 * np.arange(4), 10.0 * np.arange(3))
    return {"y": ("obs", rng.normal(3, 1, N)), "x0": ("state", np.ones(NC * NT)), "xc": ("cell", xc.ravel()),
            "yc": ("cell", yc.ravel()), "H_data": ("nnz", rng.random(5 * N)), "H_col": ("nnz", np.concatenate(rows)),
            "H_rowptr": ("rowp", 5 * np.arange(N + 1))}


def write(path, more={}, attributes={}, drop=(), change=None):
    """more: further variables, or others in place of those there are; lengths follow from the values."""
    v = variables()
    v.update(more)
    with netCDF4.Dataset(path, "w") as f:
        for name, (dims, value) in v.items():
            if name in drop:
                continue
            value, dims = np.asarray(value), (dims,) if isinstance(dims, str) else dims
            for d, size in zip(dims, value.shape):
                if d not in f.dimensions:
                    f.createDimension(d, size)
            kind = "i4" if name in WHOLE else "f8" if value.dtype.kind in "fiu" else str
            f.createVariable(name, kind, dims)[:] = value
        f.setncatts({k: a for k, a in {**ATTRIBUTES, **attributes}.items() if k not in drop})
        if change:
            change(f)
    return path
