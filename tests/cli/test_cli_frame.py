"""The command line's frame: overview, help, options, exit codes, init, check, list."""
import json
import os
import re
import shutil
import subprocess
import sys

BINARY, _DATA, WORK, SOURCE = sys.argv[1:5]
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
failures = []


def run(*args, stdin=None, stdout=subprocess.PIPE):
    r = subprocess.run([BINARY, *args], cwd=WORK, stdout=stdout, stderr=subprocess.PIPE, text=True,
                       input=stdin, timeout=120)
    return r.returncode, r.stdout or "", r.stderr


def expect(what, condition, seen=""):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}\n{seen}")


def refused(args, text, code=2):
    status, out, err = run(*args)
    expect(f"{args} says '{text}' and exits {code}",
           status == code and text in err and out == "" and err.endswith("\n"), (status, out, err))


with open(f"{SOURCE}/src/cli/commands.def", encoding="utf-8") as f:
    COMMANDS = re.findall(r"^SKY_COMMAND\((\w+),", f.read(), re.M)


def frame():
    status, out, err = run()
    expect("no command: the overview on stderr, exit 2",
           status == 2 and out == "" and all(f"  {c} " in err for c in COMMANDS), (status, out, err))
    status, out, err = run("--help")
    expect("--help: the overview on stdout", status == 0 and err == "" and "  check " in out, out)
    status, out, err = run("--version")
    expect("--version names what it is made of", status == 0 and err == "" and
           all(re.search(rf"^{n} .*\d", out, re.M) for n in
               ("skyflux", "GDAL", "PROJ", "netCDF", "HDF5", "OpenBLAS", "udunits2")), out)
    refused(["chekc"], "skyflux: unknown command 'chekc'; did you mean 'check'?")
    refused(["frobnicate"], "skyflux: unknown command 'frobnicate' (skyflux --help lists them)")
    status, out, _ = run("__worker", "no-such-task")
    expect("an unknown worker task fails", status != 0, (status, out))
    with open("/dev/full", "w") as full:
        status, _, err = run("init", stdout=full)
    expect("a full disk behind '>' is a failure", status == 1 and "cannot be written" in err, err)


def helps():
    for command in COMMANDS:
        status, out, err = run(command, "--help")
        lines = out.rstrip("\n").split("\n")
        expect(f"{command} --help: one screen, the example last",
               status == 0 and err == "" and
               len(lines) <= {"sink": 82, "invert": 44}.get(command, 40) and
               max(map(len, lines)) <= 100 and
               lines[0].startswith(f"skyflux {command}: ") and lines[-2] == "example:" and
               lines[-1].startswith(f"  skyflux {command}"), out + err)
        if command == "sink":  # more than a screen: in groups
            expect("sink --help: groups", all(f"\n{g}:\n" in out for g in (
                "maps and zones", "carbon", "errors", "written beside the table", "the run")), out)
        expect(f"{command} --help: common options",
               all(f"--{o}" in out for o in ("threads", "memory", "progress", "json", "log-file")))


def options():
    refused(["init", "--jsno"], "init: unknown option '--jsno'; did you mean '--json'?")
    refused(["init", "--wibble=3"], "init: unknown option '--wibble=3' (see skyflux init --help)")
    refused(["init", "-qx"], "init: unknown option '-x'")
    refused(["init", "--threads"], "init: option '--threads' needs a value")
    refused(["init", "--json=1"], "init: option '--json' takes no value")
    for bad in ("0", "x", "-1", "2x", "99999"):
        refused(["init", f"--threads={bad}"], f"--threads: '{bad}' is not a number from 1 to 4096")
    for bad in ("0", "4X", "G", "-1G", "4GG", "1e99"):
        refused(["init", f"--memory={bad}"], f"--memory: '{bad}' is not a size")
    refused(["init", "--progress=loud"], "--progress: 'loud' is not one of auto, plain, json, none")
    refused(["init", "--log-file=no/such/dir/log"], "--log-file: no/such/dir/log: ", code=1)
    refused(["init", "extra"], "init: 'extra' is not expected")
    refused(["check"], "check: expected one job file, got 0 arguments")
    refused(["check", "a", "b"], "check: expected one job file, got 2 arguments")
    refused(["check", "absent.yaml"], "absent.yaml", code=3)
    for good in ("--threads=2", "--memory=4G", "--memory=500m", "--memory=1073741824",
                 "--memory=1.5GB", "--progress=none", "-q", "-v", "-qv", "--log-file=log.txt"):
        status, out, err = run("init", good)
        expect(f"init {good}", status == 0 and err == "" and "job:" in out, err)


INPUTS = ("data/soundings/a.nc", "data/footprints/a.nc", "data/inventory.nc", "data/zones.gpkg")


# GDAL goes by what is inside, so GeoJSON will do for any name.
ZONES = json.dumps({"type": "FeatureCollection", "name": "districts", "features": [
    {"type": "Feature", "properties": {"id": "a", "name": "A", "kind": "district"},
     "geometry": {"type": "Polygon", "coordinates": [[[0, 51], [1, 51], [1, 52], [0, 52], [0, 51]]]}}]})


def template():
    _, text, _ = run("init")
    write("template.yaml", text)
    status, out, err = run("check", "template.yaml")
    lines = err.rstrip("\n").split("\n")
    expect("the template lacks its files only", status == 3 and out == "" and len(lines) == 4 and
           all(re.match(r"template\.yaml:\d+: [\w\[\].]+: (no file matches|'.*' does not exist)", l)
               for l in lines), err)
    for name in INPUTS:
        write(name, ZONES if name == "data/zones.gpkg" else "")
    status, out, err = run("check", "template.yaml")
    expect("with its files it is right", (status, out, err) == (0, "template.yaml: ok\n", ""), err)
    os.remove(f"{WORK}/{INPUTS[0]}")
    status, _, err = run("check", "template.yaml")
    expect("one missing file is one line", status == 3 and err.count("\n") == 1 and
           "no file matches 'data/soundings/*.nc'" in err, err)
    write(INPUTS[0], "")
    switch_on(text.split("\n"))


# Settings of the template that need another one to be switched off or on with them.
TOGETHER = {
    "products": "products[0].fields: product my-product needs a field with role uncertainty",
    "account": "account: has no effect, as no inventory is a table of activity",
    "sinks": "sinks[0].maps: has no effect with flux",
    "sink": "inversions[0].sink: no sink has the id 'land'",
    "unscaled": "inversions[0].unscaled: no inventory has the id 'soil-sink'",
    "information": "inversions[0].background: has no effect with information",
    "wind": "soundings[0].wind: has no effect without background upwind",
    "boundary": "soundings[0].boundary: has no effect without background boundary",
    "boundary_error": "soundings[0].boundary_error: has no effect without background boundary",
    "boundary_footprints": "soundings[0].boundary_footprints: has no effect without background",
    "levels": "inversions[0].levels: need a projected grid",
    "sectors": "inversions[0].sectors: 1 item, expected 2 to 16",
    "mixing": "inversions[0].mixing: has no effect without sectors",
    "smoothness": "smoothness: has no effect without correlation matern (exponential)",
    "solver": "inversions[0].solver.drift: has no effect unless method is geostatistical",
    "samples": "inversions[0].samples: has no effect with sign gaussian",
    "boundary_sd": "inversions[0].boundary_sd: has no effect without information",
    "preset": "grid.cell: comes with the preset",
    "labels": "zones: both file and labels are given; one of them decides",
}


def switch_on(lines):
    seen = 0
    for i, line in enumerate(lines):
        m = re.match(r"^( *)#(\w+):", line)
        if not m:
            continue
        seen += 1
        margin = m.group(1) + "#"
        on, k = list(lines), i
        while k == i or (k < len(lines) and lines[k].startswith(margin + "  ")):
            on[k] = lines[k].replace("#", "", 1)
            k += 1
        write("on.yaml", "\n".join(on))
        status, out, err = run("check", "on.yaml", "--set", "data=data")
        if m.group(2) in TOGETHER:
            expect(f"{m.group(2)} needs more", status == 2 and TOGETHER[m.group(2)] in err, err)
        else:
            # Files that only this setting names are not there.
            expect(f"'{line.strip()}' can be switched on", status in (0, 3) and (status == 0 or
                   "does not exist" in err), err)
    expect("the template has settings to switch on", seen > 20, seen)


def write(name, text):
    path = f"{WORK}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


BAD = """job: {name: a, output: o}
grid:
  box: [0, 50, 2, 52]
  cell: 1 lm
soundings: [{files: ["data/soundings/*.nc"], gases: [ch4], product: acos-lit}]
zones: {file: data/zones.gpkg, id: id}
perod: 1
"""


def check():
    write("bad.yaml", BAD)
    errors = ["bad.yaml:4: grid.cell: '1 lm' is not a length or angle (expected e.g. '1 km')",
              "bad.yaml:7: perod: unknown key; did you mean 'period'?"]
    status, out, err = run("check", "bad.yaml")
    expect("check: every error, one a line", (status, out, err) == (2, "", "\n".join(errors) + "\n"),
           err)
    status, out, _ = run("check", "bad.yaml", "--json")
    result = json.loads(out)
    expect("check --json", status == 2 and result["ok"] is False and result["errors"] == errors and
           result["job"] == "bad.yaml", out)
    write("reader.yaml", BAD.replace("1 lm", "0.1").replace("perod: 1\n", ""))
    refused(["check", "reader.yaml"],
            "reader.yaml:5: soundings[0].product: no reader is called 'acos-lit'")
    status, out, err = run("check", "reader.yaml", "--set", "soundings[0].product=acos-lite", "--json")
    expect("check --set … --json: right", status == 0 and json.loads(out) ==
           {"job": "reader.yaml", "ok": True, "status": json.loads(out)["status"], "errors": []}, out + err)
    refused(["check", "reader.yaml", "--set", "grid.cell=1 lm", "--set=soundings[0].product=auto"],
            "--set: grid.cell: '1 lm' is not a length or angle")


def lists():
    for topic in ("readers", "methods", "gases", "keys", "commands"):
        status, out, err = run("list", topic)
        status_json, text, _ = run("list", topic, "--json")
        rows = json.loads(text)
        expect(f"list {topic}: a table, and the same rows as JSON", status == 0 and status_json == 0 and
               err == "" and len(rows) > 2 and out.count("\n") == len(rows) + 1, out)
        first = list(rows[0].values())[0]
        expect(f"list {topic}: first column", out.split("\n")[1].startswith(first), out)
    expect("list commands names all", [r["command"] for r in
           json.loads(run("list", "commands", "--json")[1])] == COMMANDS)
    with open(f"{SOURCE}/docs/job.md", encoding="utf-8") as f:
        expect("docs/job.md is list keys --markdown", run("list", "keys", "--markdown")[1] == f.read())
    refused(["list"], "list: expected one topic")
    refused(["list", "reader"], "list: unknown topic 'reader'; did you mean 'readers'?")
    refused(["list", "gases", "--markdown"], "list: gases has no reference page")


for part in (frame, helps, options, template, check, lists):
    part()
sys.exit(1 if failures else 0)
