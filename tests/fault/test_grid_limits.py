"""`skyflux grid` where the disk is full, its writing worker dies, or memory is short: one clear
error with the path, no part of an output left, and the memory of many granules that of few.

Arguments: binary, data folder, work folder, source root."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np

BINARY, WORK, ROOT = sys.argv[1], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
sys.path.insert(0, str(ROOT / "tests" / "support"))
import harmonised  # noqa: E402


def run(*args, code=0, **more):
    r = subprocess.run([BINARY, "grid", *map(str, args), "--progress", "none"],
                       capture_output=True, text=True, timeout=120, **more)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stderr


def nothing_left(folder):
    assert not list(folder.iterdir()), list(folder.iterdir())


def limit(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_file_limit(args, full, want):
    """Whatever file is too large, the scratch file of the sums or the output at any place."""
    size, out = want.stat().st_size, full / "out.nc"
    for most in (1000, 100_000, size // 10, size // 3, size // 2, size * 9 // 10, size - 8):
        text = run(*args, "-o", out, code=1, preexec_fn=limit(most))
        assert "out.nc" in text and len(text.strip().splitlines()) == 1, (most, text)
        nothing_left(full)
    run(*args, "-o", out)
    assert out.read_bytes() == want.read_bytes()
    text = run("--merge", want, "-o", full / "m.nc", code=1, preexec_fn=limit(size // 2))
    assert "m.nc" in text, text
    out.unlink()
    nothing_left(full)


def test_small_disk(args, size):
    """A file system that fills up, at several places of the file."""
    disk = WORK / "disk"
    disk.mkdir()
    for share in (0.3, 0.9, 1.2, 1.6, 2.5):
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={int(size * share) // 1024}k", "tmpfs",
                 disk], stderr=subprocess.DEVNULL).returncode != 0:
            print("small disk: skipped, tmpfs cannot be mounted here")
            return
        try:
            r = subprocess.run([BINARY, "grid", *map(str, args), "-o", disk / "out.nc",
                                "--progress", "none"], capture_output=True, text=True, timeout=120)
            done = (disk / "out.nc").exists()
            assert done == (r.returncode == 0), (share, r.returncode, r.stderr)
            if not done:
                assert r.returncode == 1 and str(disk / "out.nc")[-6:] in r.stderr, r.stderr
                nothing_left(disk)
        finally:
            subprocess.run(["umount", disk])


def test_killed_worker(args, full):
    """The process that writes is killed, with a part of its file on the disk."""
    deadly = WORK / "deadly.sh"
    deadly.write_text(f'#!/bin/sh\nif [ "$2" = grid-write ]; then\n'
                      f'  echo part > "{full}/.part.out.nc"\n  kill -9 $$\nfi\n'
                      f'exec "{BINARY}" "$@"\n')
    deadly.chmod(0o755)
    text = run(*args, "-o", full / "out.nc", code=1,
               env={**os.environ, "SKYFLUX_WORKER": str(deadly)})
    assert "out.nc: cannot be written: killed by signal 9" in text, text
    nothing_left(full)


def test_killed_run(args, full):
    """Nothing but a part remains of a run that is killed as a whole, and its worker ends, too."""
    slow = WORK / "slow.sh"
    mark = WORK / "worker.pid"
    slow.write_text(f'#!/bin/sh\nif [ "$2" = grid-write ]; then\n  echo $$ > "{mark}"\n'
                    f'  exec sleep 60\nfi\nexec "{BINARY}" "$@"\n')
    slow.chmod(0o755)
    p = subprocess.Popen([BINARY, "grid", *map(str, args), "-o", full / "out.nc", "--progress",
                          "none"], env={**os.environ, "SKYFLUX_WORKER": str(slow)},
                         stderr=subprocess.DEVNULL)
    until = time.time() + 60
    while not (mark.exists() and mark.read_text().strip()) and time.time() < until:
        time.sleep(0.02)
    p.send_signal(signal.SIGTERM)
    assert p.wait(30) == 1, p.returncode
    pid = int(mark.read_text())
    while pathlib.Path(f"/proc/{pid}").exists() and time.time() < until:
        time.sleep(0.02)
    assert not pathlib.Path(f"/proc/{pid}").exists()
    nothing_left(full)


def family_kb(pid):
    total, todo = 0, [pid]
    while todo:
        p = todo.pop()
        try:
            total += int(pathlib.Path(f"/proc/{p}/statm").read_text().split()[1]) * 4
            todo += map(int, pathlib.Path(f"/proc/{p}/task/{p}/children").read_text().split())
        except (OSError, IndexError):
            pass
    return total


def peak_mb(*args):
    p = subprocess.Popen([BINARY, "grid", *map(str, args), "--progress", "none", "-q"],
                         stdout=subprocess.DEVNULL)
    peak = [0]

    def watch():
        while p.poll() is None:
            peak[0] = max(peak[0], family_kb(p.pid))
            time.sleep(0.002)
    t = threading.Thread(target=watch)
    t.start()
    assert p.wait(120) == 0
    t.join()
    return peak[0] / 1024


def test_memory():
    """The globe at 0.1 degree from wide swaths: all processes together stay below 300 MB, few
    granules or many, and when products are merged."""
    files = []
    for k in range(6):
        lon, lat = harmonised.swath(700, 215, -170 + 55 * k, -70, 70, along=28)
        n = len(lon)
        files.append(WORK / f"o{k}.nc")
        harmonised.write(files[-1], (lon + 180) % 360 - 180, lat,
                         1850 + 5 * np.sin(np.arange(n) * 0.7), np.full(n, 8.0),
                         time=1.5e9 + 6090 * k + np.arange(n) * 6000 / n, granule=f"orbit{k}")
    few = peak_mb(*files[:2], "--cell", 0.1, "-o", WORK / "few.nc")
    many = peak_mb(*files, "--cell", 0.1, "-o", WORK / "many.nc")
    rest = peak_mb(*files[2:], "--cell", 0.1, "-o", WORK / "rest.nc")
    merged = peak_mb("--merge", WORK / "few.nc", WORK / "rest.nc", "-o", WORK / "merged.nc")
    assert (WORK / "many.nc").read_bytes() == (WORK / "merged.nc").read_bytes()
    for name in ("few", "many", "rest", "merged"):
        (WORK / f"{name}.nc").unlink()
    print(f"peak memory: {few:.0f} MB of 2 granules, {many:.0f} of 6, {rest:.0f} of 4, "
          f"{merged:.0f} merging")
    if "sanitizer" not in subprocess.run([BINARY, "--version"], capture_output=True, text=True).stdout:
        assert max(few, many, rest, merged) < 300, (few, many, rest, merged)  # one keeps freed memory


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    full = WORK / "full"
    full.mkdir(parents=True)
    lon, lat = harmonised.swath(120, 215, 10, 40, 48)
    harmonised.write(WORK / "a.nc", lon, lat, 1850 + 30 * np.sin(np.arange(len(lon)) * 0.7),
                     np.full(len(lon), 8.0))
    args = [WORK / "a.nc", "--box=-10,35,30,55", "--cell", 0.05]
    run(*args, "-o", WORK / "want.nc")
    test_file_limit(args, full, WORK / "want.nc")
    test_small_disk(args, (WORK / "want.nc").stat().st_size)
    test_killed_worker(args, full)
    test_killed_run(args, full)
    text = run(WORK / "a.nc", "--cell", 0.00001, "-o", full / "out.nc", code=1)
    assert "36000000 x 18000000 cells" in text and "--memory" in text, text
    nothing_left(full)
    test_memory()


main()
