#!/usr/bin/python3
"""Chain diagnostics against numpy/scipy and against AR(1) chains, whose effective size is known."""
import os
import shutil
import subprocess
import sys

import numpy as np
from scipy import stats

WORK, TOOL = sys.argv[3], sys.argv[5]


def ours(draws, divergent=0):
    path = os.path.join(WORK, "draws")
    np.ascontiguousarray(draws, dtype=float).tofile(path)
    r = subprocess.run([TOOL, path, *map(str, draws.shape), str(divergent)], capture_output=True,
                       text=True)
    assert r.returncode == 0, r.stderr
    numbers, verdict = r.stdout.splitlines()
    return np.array(numbers.split(), float), verdict


def split(draws):
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def z_scale(draws):
    r = stats.rankdata(draws).reshape(draws.shape)
    return stats.norm.ppf((r - 0.375) / (draws.size + 0.25))


def rhat(draws):
    n = draws.shape[1]
    within = draws.var(axis=1, ddof=1).mean()
    return np.sqrt(((n - 1) / n * within + draws.mean(axis=1).var(ddof=1)) / within)


def ess(draws):
    """Vehtari et al. 2021: autocovariances by FFT, Geyer's initial monotone sequence."""
    m, n = draws.shape
    centred = draws - draws.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * n)
    cov = np.fft.irfft(np.abs(spectrum)**2, 2 * n)[:, :n] / n
    within = (cov[:, 0] * n / (n - 1)).mean()
    total = within * (n - 1) / n + draws.mean(axis=1).var(ddof=1)
    rho = 1 - (within - cov.mean(axis=0) * n / (n - 1)) / total
    rho[0] = 1
    pairs = rho[:n - n % 2].reshape(-1, 2)
    sums = pairs.sum(axis=1)
    end = np.argmax(sums <= 0) if (sums <= 0).any() else len(sums)
    tau = -1 + 2 * np.minimum.accumulate(sums[:end]).sum()
    if end < len(sums) and pairs[end, 0] > 0:
        tau += pairs[end, 0]
    return m * n / max(tau, 1 / np.log10(m * n))


def expected(draws):
    s = split(draws)
    folded = z_scale(np.abs(s - np.median(draws)))
    tails = [ess((s <= np.quantile(draws, q)).astype(float)) for q in (0.05, 0.95)]
    return np.array([draws.mean(), draws.std(ddof=1),
                     *np.quantile(draws, [0.025, 0.16, 0.5, 0.84, 0.975]),
                     max(rhat(z_scale(s)), rhat(folded)), ess(z_scale(s)), min(tails),
                     draws.std(ddof=1) / np.sqrt(ess(s))])


def ar1(rng, rho, chains, n):
    x = np.empty((chains, n))
    x[:, 0] = rng.standard_normal(chains)
    for k in range(1, n):
        x[:, k] = rho * x[:, k - 1] + np.sqrt(1 - rho**2) * rng.standard_normal(chains)
    return x


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    rng = np.random.default_rng(20261130)
    cases = {
        "independent": rng.standard_normal((4, 1000)),
        "odd": rng.standard_normal((3, 501)),
        "ar 0.9": ar1(rng, 0.9, 4, 2000),
        "antithetic": ar1(rng, -0.5, 4, 1000),
        "cauchy": rng.standard_cauchy((4, 800)),
        "shifted": ar1(rng, 0.5, 4, 500) + np.arange(4)[:, None] * 0.3,
        "wider": rng.standard_normal((4, 500)) * np.array([[1], [1], [1], [3]]),
        "ties": rng.integers(0, 60, (4, 600)).astype(float),
    }
    for name, draws in cases.items():
        got, verdict = ours(draws)
        want = expected(draws)
        off = np.abs(got - want) / np.maximum(np.abs(want), 1e-3)
        print(f"{name}: R-hat {got[7]:.4f}, ESS {got[8]:.0f} {got[9]:.0f}, off {off.max():.1e}, {verdict}")
        assert off.max() < 1e-9, (name, got, want)
        assert (verdict == "converged") == (name not in ("shifted", "wider")), (name, verdict)
    for rho in (0.0, 0.5, 0.9, -0.3):  # ESS of the mean = S (1-ρ)/(1+ρ)
        draws = ar1(rng, rho, 4, 50000)
        known = draws.size * (1 - rho) / (1 + rho)
        got, _ = ours(draws)
        assert abs(got[8] / known - 1) < 0.08, (rho, got[8], known)
        error = 1 / np.sqrt(known)
        assert abs(got[10] / error - 1) < 0.05, (rho, got[10], error)
        print(f"AR(1) {rho}: ESS {got[8]:.0f} of {known:.0f}")
    for name, draws, divergent, word in (
            ("constant", np.repeat(rng.standard_normal((2, 1)), 100, axis=1), 0, "constant"),
            ("one stuck", np.vstack([rng.standard_normal((1, 100)), np.ones((1, 100))]), 0, "constant"),
            ("diverged", rng.standard_normal((4, 1000)), 4000, "diverged"),
            ("some diverged", rng.standard_normal((4, 1000)), 41, "diverged"),
            ("nan", np.where(np.arange(400).reshape(4, 100) == 7, np.nan, 1.0), 0, "finite"),
            ("short", ar1(rng, 0.0, 2, 60), 0, "effective")):
        got, verdict = ours(draws, divergent)
        assert verdict.startswith("not converged") and word in verdict, (name, verdict)
        assert not np.isnan(got).any(), (name, got)
    got, verdict = ours(rng.standard_normal((4, 1000)), 40)
    assert verdict == "converged", verdict
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
