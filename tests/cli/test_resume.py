#!/usr/bin/python3
"""The demo job gives the same bytes for any thread count, and after being killed: at every stage boundary
and at 20 random moments. The city job too, in one run that is killed again and again.

arguments: BINARY DATA WORK SOURCE [SCENE]"""
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

binary, _, work, _ = sys.argv[1:5]
name = sys.argv[5] if len(sys.argv) > 5 else "demo"
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([binary, "synth", name, f"{work}/scene", "-q"], check=True)
job = f"{work}/scene/{name}.yaml"
out = f"{work}/result"
command = [binary, "run", job, "--set", f"job.output={out}", "--progress=none"]


def digest():
    """Checksums of all files but the log of the run, which holds clock and host."""
    found = {}
    for folder, _, names in os.walk(out):
        for file in names:
            if file == "run.log.json":
                continue
            path = os.path.join(folder, file)
            with open(path, "rb") as f:
                found[os.path.relpath(path, out)] = hashlib.sha256(f.read()).hexdigest()
    return found


def finish():
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 0, result.stderr
    return result.stderr


def fresh():
    shutil.rmtree(out, ignore_errors=True)


reference, seconds = None, 1.0
for threads in (1, 2, 5):
    fresh()
    start = time.time()
    subprocess.run(command + ["--threads", str(threads)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    seconds = time.time() - start
    if reference is None:
        reference = digest()
        assert len(reference) > 15, sorted(reference)
    assert digest() == reference, f"{threads} threads: files differ"
print("same bytes for 1, 2 and 5 threads:", len(reference), "files")

second = finish()
assert "up to date" in second and "done" not in second, second
assert digest() == reference
stages = [line.split("stage ")[1].split(":")[0] for line in second.splitlines() if "up to date" in line]
assert len(stages) >= 6, stages


def killed_after(stage):
    """Start, and kill the run right after it finished a stage."""
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in run.stderr:
        if line.strip().endswith(f"stage {stage}: done"):
            run.send_signal(signal.SIGKILL)
            break
    run.stderr.close()
    run.wait()


moment = random.Random(20261120)
if name == "city":  # one run from kill to kill, first at every boundary, then at random moments
    fresh()
    for stage in stages:
        killed_after(stage)
    finish()
    assert digest() == reference, "killed after every stage: files differ"
    fresh()
    killed = 0
    for k in range(200):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run.wait((0.1 + 0.2 * moment.random()) * seconds)
            break
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            killed += 1
    finish()
    assert digest() == reference, f"killed {killed} times: files differ"
    assert killed > 0, "the run was too fast to be killed"
    print("killed after", len(stages), "stages and at", killed, "random moments: same bytes")
    sys.exit()

for stage in stages:  # killed right after the stage was finished
    fresh()
    killed_after(stage)
    finish()
    assert digest() == reference, f"killed after {stage}: files differ"
print("killed at", len(stages), "stage boundaries: same bytes")

killed = 0
for k in range(20):
    fresh()
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(moment.random() * seconds)
    if run.poll() is None:
        run.send_signal(signal.SIGKILL)
        killed += 1
    run.wait()
    log = finish()
    have = digest()
    assert have == reference, (k, sorted(set(have.items()) ^ set(reference.items())))
assert killed > 5, "the run was too fast to be killed"
print("killed at", killed, "random moments: same bytes")

# A changed key runs what depends on it and nothing else.
changed = subprocess.run(command + ["--set", "inversions[0].sigma=0.3"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
assert changed.returncode == 0, changed.stderr
assert "stage soundings-ch4: up to date" in changed.stderr, changed.stderr
assert "stage invert-ch4: done" in changed.stderr, changed.stderr
assert digest() != reference
# A damaged output is noticed by verify and made again.
finish()
with open(f"{out}/zones.csv", "a") as f:
    f.write("x")
assert subprocess.run([binary, "verify", out], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode == 3
finish()
assert digest() == reference
assert subprocess.run([binary, "verify", out], stdout=subprocess.DEVNULL).returncode == 0
# Another job does not overwrite the folder.
other = subprocess.run(command + ["--set", "job.name=other"], capture_output=True, text=True)
assert other.returncode == 2 and "demo" in other.stderr, other.stderr
assert digest() == reference
# A job that no longer inverts leaves no posterior behind.
with open(job) as f:
    text = f.read()
part = f"{work}/scene/columns.yaml"
with open(part, "w") as f:
    f.write(text[:text.index("inversions:")] + text[text.index("zones:"):])
only = subprocess.run([binary, "run", part, "--set", f"job.output={out}", "--progress=none"],
                      capture_output=True, text=True)
assert only.returncode == 0, only.stderr
left = sorted(digest())
assert not [file for file in left if "posterior" in file], left
assert "ch4_column.tif" in left and "zones.csv" in left, left
print("ok")
