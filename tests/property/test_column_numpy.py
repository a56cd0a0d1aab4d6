"""Cleaning and background functions against plain numpy and scipy written from their definitions.
Arguments: binary, data folder, work folder, source folder, the tool."""
import subprocess
import sys

import numpy as np

TOOL = sys.argv[5]
RNG = np.random.default_rng(7)
R = 6371008.8


def call(mode, data, *options):
    done = subprocess.run([TOOL, mode, *map(str, options)], input=np.ascontiguousarray(data, "f8").tobytes(),
                          capture_output=True)
    assert done.returncode == 0, (mode, done.stderr)
    return np.frombuffer(done.stdout, "f8")


def direction(lat, lon):
    lat, lon = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)


def distance(a, b):
    return 2 * R * np.arcsin(np.minimum(np.linalg.norm(a - b, axis=-1) / 2, 1))


def mad(x):
    return 1.482602218505602 * np.median(np.abs(x - np.median(x)))


def test_localmean():
    from scipy.ndimage import convolve
    ny, nx, sigma, half = 61, 47, 4.0, 10
    x = 1800 + 20 * RNG.standard_normal((ny, nx))
    x[RNG.random((ny, nx)) < 0.4] = np.nan
    x[:25, :25] = np.nan  # a hole larger than the kernel
    k = np.exp(-(np.arange(-half, half + 1) / sigma) ** 2 / 2)
    kernel = np.outer(k, k)
    m = np.isfinite(x).astype(float)
    put = lambda f, g: convolve(f, g, mode="constant")
    with np.errstate(invalid="ignore", divide="ignore"):
        w = put(m, kernel)
        mean = put(np.where(m > 0, x, 0), kernel) / w
        var = put(np.where(m > 0, x**2, 0), kernel) / w - mean**2
        count = w**2 / put(m, kernel**2)
    none = put(m, np.ones_like(kernel)) < 0.5
    mean[none], var[none], count[none] = np.nan, np.nan, 0
    got = call("localmean", x, nx, sigma, half, 1).reshape(3, ny, nx)
    assert none.any() and np.array_equal(np.isnan(got[0]), none)
    assert np.allclose(got[0], mean, rtol=1e-12, equal_nan=True)
    assert np.allclose(got[1], var, rtol=0, atol=1e-7, equal_nan=True)
    assert np.allclose(got[2], count, rtol=1e-10, equal_nan=True)
    assert np.array_equal(got, call("localmean", x, nx, sigma, half, 2).reshape(3, ny, nx),
                          equal_nan=True)


def swath(n_line=200, n_pixel=60):
    line, pixel = np.mgrid[:n_line, :n_pixel]
    return line, pixel, 1800 + 30 * np.sin(line / 60) + 20 * np.cos(pixel / 25)


def test_destripe():
    line, pixel, smooth = swath()
    stripe = RNG.normal(0, 6, 60)
    x = smooth + stripe + RNG.normal(0, 4, smooth.shape)
    x[RNG.random(x.shape) < 0.3] = np.nan
    rows = np.stack([line.ravel(), pixel.ravel(), x.ravel()], 1)
    offset, lost = call("destripe", rows, 36).reshape(2, *x.shape)
    h, w = 7, 60
    r = np.full(x.shape, np.nan)
    for p in range(x.shape[1]):
        part = x[:, max(0, p - h):p + h + 1]
        enough = np.isfinite(part).sum(1) >= (h + 1) // 2
        r[enough, p] = (x[:, p] - np.nanmedian(np.where(enough[:, None], part, 0), axis=1))[enough]
    want = np.zeros(x.shape)
    for l in range(x.shape[0]):
        part = r[max(0, l - w):l + w + 1]
        want[l] = np.where(np.isfinite(part).sum(0) >= 10, np.nanmedian(part, axis=0), 0)
    known = np.isfinite(r)
    centre = np.nanmedian(np.where(known, want, np.nan), axis=1)
    want = np.where(known, want - centre[:, None], 0)
    assert np.allclose(offset, want, rtol=0, atol=1e-9), np.abs(offset - want).max()
    assert not lost.any()
    after = np.nanmedian(x - offset - smooth, axis=0)
    before = np.nanmedian(x - smooth, axis=0)
    # What stays is the error of the median of 15 stripes, and at the edges the slope of the field.
    inner = slice(h, -h)
    assert after[inner].std() < 0.45 * before[inner].std(), (before[inner].std(), after[inner].std())
    # A field without stripes is left alone, and no correction has a mean.
    flat = call("destripe", np.stack([line.ravel(), pixel.ravel(), smooth.ravel()], 1), 36)[:x.size]
    assert np.abs(flat.reshape(x.shape)[:, inner]).max() < 1.0
    assert np.abs(np.nanmedian(np.where(known, offset, np.nan), axis=1)).max() < 1e-9
    # A detector that is broken is dropped, not corrected.
    x[:, 30] += 500
    rows[:, 2] = x.ravel()
    offset, lost = call("destripe", rows, 36).reshape(2, *x.shape)
    assert lost[known[:, 30], 30].all() and (offset[:, 30] == 0).all()


def track(n):
    t = np.sort(RNG.uniform(0, 1200, n))
    lat = -35 + t * 0.0605
    lon = 178 + RNG.uniform(-4, 4, n) - t * 0.012
    return t, lat, (lon + 180) % 360 - 180


def rows_of(t, lat, lon, x, overpass, east=0, north=0):
    one = np.ones(len(t))
    return np.stack([t, lat, lon, x, 8 * one, overpass, east * one, north * one], 1)


def test_outliers():
    n = 4000
    t, lat, lon = track(n)
    x = 1800 + 15 * np.sin(lat / 9) + RNG.normal(0, 9, n)
    wrong = RNG.choice(n, 60, replace=False)
    x[wrong] += np.where(RNG.random(60) < 0.5, -1, 1) * RNG.uniform(90, 200, 60)
    passes = (np.arange(n) % 2).astype(float)
    got = call("outliers", rows_of(t, lat, lon, x, passes)) > 0
    want = np.zeros(n, bool)
    cube = np.floor(direction(lat, lon) * (R / 6e4)).astype(int)
    for o in (0, 1):
        own = np.flatnonzero(passes == o)
        for k, i in enumerate(own):
            near = own[np.all(np.abs(cube[own] - cube[i]) <= 1, axis=1)]
            if len(near) < 12:
                first = min(max(k - 12, 0), len(own) - 25)
                near = own[first:first + 25]
            want[i] = abs(x[i] - np.median(x[near])) > 5 * max(mad(x[near]), 8)
    assert np.array_equal(got, want), np.flatnonzero(got != want)
    assert got[wrong].mean() > 0.98 and np.delete(got, wrong).mean() < 0.002


def test_positions():
    n = 3000
    t, lat, lon = track(n)
    wrong = RNG.choice(n, 40, replace=False)
    lat[wrong] = np.clip(lat[wrong] + RNG.choice([-1, 1], 40) * RNG.uniform(12, 30, 40), -90, 90)
    got = call("positions", rows_of(t, lat, lon, np.full(n, 1800.0), np.zeros(n))) > 0
    assert got[wrong].mean() > 0.98 and np.delete(got, wrong).sum() == 0, got[wrong].mean()


def test_orbit():
    """A day of GOSAT-like points below one orbit, in overpasses too small for their own test, made
    by rotating an inclined circle and the Earth below it: a few displaced ones are all found, no
    other is doubted. Stations, and places of no orbit, are not judged."""
    for period, inclination, n in ((98.18, 98.06, 400), (101.5, 98.7, 250), (92.7, 51.6, 3000)):
        t = np.sort(RNG.uniform(0, 86000, n))
        u = 2 * np.pi * t / (60 * period) + 0.7 + np.radians(RNG.uniform(-1.2, 1.2, n))
        c = np.radians(RNG.uniform(-3, 3, n))  # across
        i = np.radians(inclination)
        plane = np.stack([np.cos(u) * np.cos(c), np.sin(u) * np.cos(c), np.sin(c)], -1)
        x = plane[:, 0]
        y = plane[:, 1] * np.cos(i) - plane[:, 2] * np.sin(i)
        z = plane[:, 1] * np.sin(i) + plane[:, 2] * np.cos(i)
        lat = np.degrees(np.arcsin(z))
        lon = (np.degrees(np.arctan2(y, x)) - 360 * t / 86164.1 + 540) % 360 - 180
        wrong = RNG.choice(n, n // 50, replace=False)
        lat[wrong] -= np.where(lat[wrong] > 0, 1, -1) * RNG.uniform(5, 20, len(wrong))
        got = call("positions", rows_of(t, lat, lon, np.full(n, 400.0), np.arange(n) // 6)) > 0
        seen = got[wrong].mean()
        if inclination > 90:
            assert seen == 1, (period, seen)
        else:  # near its turning latitude a move along the meridian may stay below the track's rim
            assert seen > 0.9, (period, seen)
        assert np.delete(got, wrong).sum() == 0, (period, np.delete(got, wrong).sum())
        # As it goes the other way round, and at places that nothing flies over in that order.
        assert call("positions", rows_of(t, lat[::-1].copy(), lon, np.full(n, 400.0),
                                         np.arange(n) // 6)).sum() == 0
        here = call("positions", rows_of(t, np.full(n, 50.0), np.full(n, 8.0), np.full(n, 400.0),
                                         np.arange(n) // 6))
        assert here.sum() == 0


def test_lonely():
    """Overpasses of 6: a value is compared with those of its latitude."""
    n = 600
    t, lat, lon = track(n)
    x = 1800 + 0.3 * lat + RNG.normal(0, 8, n)
    wrong = RNG.choice(n, 12, replace=False)
    x[wrong] += RNG.choice([-1, 1], 12) * RNG.uniform(80, 200, 12)
    passes = (np.arange(n) // 6).astype(float)
    got = call("outliers", rows_of(t, lat, lon, x, passes)) > 0
    order = np.lexsort((np.arange(n), lat))
    want = np.zeros(n, bool)
    for k, i in enumerate(order):
        first = min(max(k - 12, 0), n - 25)
        near = order[first:first + 25]
        want[i] = abs(x[i] - np.median(x[near])) > 5 * max(mad(x[near]), 8)
    assert np.array_equal(got, want), np.flatnonzero(got != want)
    assert got[wrong].all() and got.sum() == 12, got.sum()


def test_percentile():
    x = RNG.normal(400, 1.5, 777)
    for q in (0.05, 0.1, 0.5):
        value, sigma = call("percentile", x, q)
        d = np.sqrt(q * (1 - q) / len(x))
        assert value == np.quantile(x, q)
        assert np.isclose(sigma, (np.quantile(x, q + d) - np.quantile(x, q - d)) / 2, rtol=1e-12)
    # The error is what repeated draws show.
    draws = RNG.normal(400, 1.5, (400, 500))
    seen = np.quantile(draws, 0.1, axis=1).std()
    stated = np.mean([call("percentile", d, 0.1)[1] for d in draws[:40]])
    assert 0.8 < stated / seen < 1.25, (stated, seen)


def test_upwind():
    n = 1500
    t, lat, lon = track(n)
    x = 1800 + RNG.normal(0, 9, n)
    got = call("upwind", rows_of(t, lat, lon, x, np.zeros(n), 3.0, -4.0)).reshape(2, n)
    dy = lat[None] - lat[:, None]
    dx = ((lon[None] - lon[:, None] + 180) % 360 - 180) * np.cos(np.radians((lat[None] + lat[:, None]) / 2))
    d = np.hypot(dx, dy)
    with np.errstate(invalid="ignore"):
        angle = -(dx * 3 + dy * -4) / (5 * d)
    near = (np.radians(d) * R >= 2e4) & (np.radians(d) * R <= 1.5e5) & (angle >= np.cos(np.radians(30)))
    known = 0
    for i in range(n):
        v = x[near[i]]
        if len(v) < 5:
            assert np.isnan(got[0, i])
            continue
        known += 1
        assert got[0, i] == np.median(v)
        assert np.isclose(got[1, i], np.sqrt(np.pi / 2) * mad(v) / np.sqrt(len(v)), rtol=1e-12)
    assert known > 100, known


def test_smooth():
    n = 1200
    t, lat, lon = track(n)
    x = 1800 + 10 * np.sin(lat / 9) + RNG.normal(0, 6, n)
    plume = np.abs(lat - 5) < 0.5
    x[plume] += 80
    got = call("smooth", rows_of(t, lat, lon, x, np.zeros(n))).reshape(2, n)
    v = direction(lat, lon)
    d = distance(v[:, None], v[None]) / 5e4
    w = np.where(d <= 3, np.exp(-d**2 / 2), 0)
    keep = np.ones(n, bool)
    for round in range(3):
        k = w * keep
        s = k.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (k @ np.where(keep, x, 0)) / s
            sd = np.sqrt(np.maximum((k * (x[None] - mean[:, None]) ** 2).sum(1) / s, 0))
            count = s**2 / (k**2).sum(1)
        if round == 2:
            break
        new = keep & ~(x > mean + 2 * sd)
        if (new == keep).all():
            break
        keep = new
    assert np.allclose(got[0], mean, rtol=1e-10, equal_nan=True)
    many = count > 1.001
    assert np.allclose(got[1][many], (sd / np.sqrt(count))[many], rtol=1e-6, atol=1e-9)
    away = ~plume
    assert np.abs(got[0] - 1800 - 10 * np.sin(lat / 9))[away].mean() < 6


def test_curtain():
    share = RNG.random(500) * 0.004
    share[::7] = 0
    vmr = 1.9e-6 + 5e-8 * RNG.standard_normal(500)
    vmr[3] = np.nan
    value, sigma, covered = call("curtain", np.stack([share, vmr], 1), 4e-9)
    ok = np.isfinite(vmr)
    total = share[ok].sum()
    mean = (share * vmr)[ok].sum() / total
    var = (share * (vmr - mean) ** 2)[ok].sum() / total
    assert np.isclose(covered, total, rtol=1e-14) and np.isclose(value, mean, rtol=1e-14)
    assert np.isclose(sigma, np.sqrt(var * max(0, 1 - total) ** 2 + 4e-9**2), rtol=1e-12)


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(name)
