#!/usr/bin/python3
"""A job's iteration killed three times in the midst of its products goes on where it was and ends with the bytes of
a run that was left alone, with another number of threads. arguments: BINARY DATA WORK SOURCE"""
import os
import shutil
import signal
import subprocess
import sys
import time

binary, shared, work, source = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
scene = f"{work}/scene"
os.makedirs(work)
subprocess.run([binary, "synth", "demo", scene, "-q"], check=True)


def command(name, threads):
    return [binary, "run", f"{scene}/demo.yaml", "--progress=none", "--threads", str(threads),
            "--set", f"job.output={work}/{name}", "--set", "grid.cell=0.04 degree",
            "--set", "inversions[0].solver.method=iterative"]


def posterior(name):
    with open(f"{work}/{name}/stages/posterior-ch4.nc", "rb") as f:
        return f.read()


subprocess.run(command("whole", 2), check=True, capture_output=True, timeout=300)
journal, went_on, killed = f"{work}/killed/stages/products-ch4.journal", 0, 0
while killed < 3:
    before = os.path.getsize(journal) if os.path.exists(journal) else 0
    log = open(f"{work}/log", "w+")
    process = subprocess.Popen(command("killed", 1), stdout=subprocess.DEVNULL, stderr=log)
    while process.poll() is None:
        if os.path.exists(journal) and os.path.getsize(journal) > before + 20000:  # more than one product
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.0005)
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
    killed += 1
    log.seek(0)
    went_on += "going on after" in log.read()
assert not os.path.exists(f"{work}/killed/stages/posterior-ch4.nc")
done = subprocess.run(command("killed", 1), capture_output=True, text=True, timeout=300)
assert done.returncode == 0 and "going on after" in done.stderr, done.stderr
assert posterior("killed") == posterior("whole")
assert not os.path.exists(journal)
print(f"killed {killed} times; {went_on + 1} runs went on from products kept")

# Other statistics do not take the products of these.
again = subprocess.Popen(command("killed", 1) + ["--set", "inversions[0].sigma=0.6"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
while again.poll() is None and not (os.path.exists(journal) and os.path.getsize(journal) > 20000):
    time.sleep(0.0005)
again.kill()
again.wait()
done = subprocess.run(command("killed", 2), capture_output=True, text=True, timeout=300)
assert done.returncode == 0 and "going on after" not in done.stderr, done.stderr
assert posterior("killed") == posterior("whole")
