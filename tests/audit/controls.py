"""Negative controls: each audit must pass a clean tree and find each single violation."""
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
import audit

CLEAN = {
    "src/core/CMakeLists.txt": "add_library(core STATIC\n  a.c\n  # gone.c\n"
                               "  \"${DIR}/made.c\"\n)\n",
    "src/core/a.c": '#include "src/core/a.h"\n#include <stdio.h>\n'
                    "/* #pragma omp reduction(+:x) */\n",
    "src/core/a.h": '#include "skyflux/p.h"\n',
    "include/skyflux/p.h": '#include <stddef.h>\n#ifdef __cplusplus\nextern "C" {\n#endif\n'
                           "size_t sky_p(void);\n#ifdef __cplusplus\n}\n#endif\n",
    "include/skyflux/q.h": '#include "skyflux/p.h"\nsize_t sky_q(void);\n',
    "grids/CMakeLists.txt": "add_library(grids STATIC g.c)\n"
                            "set_property(SOURCE g.c PROPERTY X 1)\n",
    "grids/g.c": '#include "grids/g.h"\n#include "src/core/a.h"\n#include <proj.h>\n',
    "grids/g.h": "",
    "algorithms/CMakeLists.txt": "add_library(algorithms STATIC m/m.c)\n",
    "algorithms/m/m.c": '#include "grids/g.h"\n'
                        "void f(int n) {\n  long count = 0;\n  int hit[9] = {0};\n  double s = 0;\n"
                        "#pragma omp parallel for reduction(+ : count) \\\n    schedule(static)\n"
                        "  for (int i = 0; i < n; i++) count += i;\n"
                        "#pragma omp atomic\n  hit[n]++;\n  (void)s;\n}\n",
    "src/engine/CMakeLists.txt": "add_library(engine STATIC)\n",
    "src/read/CMakeLists.txt": "add_library(read STATIC r.c)\n",
    "src/read/r.c": '#include "src/read/r.h"\n#include <netcdf.h>\n',
    "src/read/r.h": "",
    "src/write/CMakeLists.txt": "add_library(write STATIC w.c)\n",
    "src/write/w.c": '#include "src/core/a.h"\n',
    "src/job/CMakeLists.txt": "add_library(job STATIC j.c)\n",
    "src/job/j.c": '#include "src/read/r.h"\n',
    "src/cli/CMakeLists.txt": "add_executable(cli main.c)\n",
    "src/cli/main.c": "int main(void) { return 0; }\n",
}

VIOLATIONS = [  # audit, file, its text, what the message must hold
    ("includes", "src/core/a.c", '#include "grids/g.h"\n', "src/core may not include"),
    ("includes", "src/read/r.h", '#include "src/job/j.h"\n', "not a path"),
    ("includes", "src/write/w.c", '#include "src/read/r.h"\n', "src/write may not include"),
    ("includes", "grids/g.h", '  #  include "algorithms/m/m.c"\n', "grids may not include"),
    ("includes", "src/core/a.c", '#include "a.h"\n', "not a path"),
    ("includes", "include/skyflux/p.h", '#include "src/core/a.h"\n', "public header"),
    ("science", "algorithms/m/m.c", "#include <gdal.h>\n", "gdal.h"),
    ("science", "algorithms/m/m.c", "#include <gdal/ogr_api.h>\n", "ogr_api.h"),
    ("science", "grids/g.c", "\n#include <netcdf.h>\n", "grids/g.c:2: includes netcdf.h"),
    ("science", "grids/g.h", "#include <H5public.h>\n", "H5public.h"),
    ("science", "include/skyflux/q.h", "#include <mpi.h>\n", "mpi.h"),
    ("lists", "src/core/forgotten.c", "", "src/core/forgotten.c: not listed"),
    ("lists", "algorithms/n/new.c", "", "algorithms/n/new.c: not listed"),
    ("lists", "grids/CMakeLists.txt", "add_library(grids STATIC g.c h.c)\n", "no such file h.c"),
    ("lists", "grids/CMakeLists.txt", "add_library(grids STATIC g.c g.c)\n", "g.c twice"),
    ("reductions", "src/core/a.c",
     "double f(int n) {\n  double s = 0;\n#pragma omp parallel for reduction(+:s)\n"
     "  for (int i = 0; i < n; i++) s += i;\n  return s;\n}\n", "a.c:3: reduction(+:s)"),
    ("reductions", "src/core/a.c",
     "float f(int n) {\n  float s = 0, t = 0;\n#pragma omp parallel for \\\n  reduction(max : t)\n"
     "  for (int i = 0; i < n; i++) t = i;\n  return s;\n}\n", "reduction(max:t)"),
    ("reductions", "src/core/a.c",
     "void f(double *sum, int i) {\n#pragma omp atomic\n  sum[i] += 1.0;\n}\n", "atomic on sum[i]"),
    ("reductions", "src/core/a.c",
     "void f(struct t *p, int i) {\n#pragma omp atomic update\n  p->total += i;\n}\n", "p->total"),
    ("reductions", "src/core/a.h", "extern _Atomic double total;\n", "atomic floating-point"),
    ("reductions", "src/read/CMakeLists.txt", "add_compile_options(-ffast-math)\n", "-ffast-math"),
    ("headers", "include/skyflux/p.h", "size_t sky_p(void);\n", "p.h: not alone as c11"),
    ("headers", "include/skyflux/q.h", "void sky_q(int class);\n", "q.h: not alone as c++17"),
]

SERIAL = """\tlinux-vdso.so.1 (0x00007ffc7d6ad000)
\tlibnetcdf.so.19 => /usr/lib/x86_64-linux-gnu/libnetcdf.so.19 (0x00007f0a)
\tlibhdf5_serial.so.103 => /usr/lib/x86_64-linux-gnu/libhdf5_serial.so.103 (0x00007f0b)
\tlibmpfr.so.6 => /usr/lib/x86_64-linux-gnu/libmpfr.so.6 (0x00007f0c)
"""
LISTINGS = [
    (SERIAL, 0),
    (SERIAL.replace("libnetcdf.so.19", "libnetcdf_mpi.so.19"), 1),
    (SERIAL + "\tlibmpi.so.40 => /usr/lib/x86_64-linux-gnu/libmpi.so.40 (0x00007f0d)\n", 1),
    (SERIAL + "\tlibhdf5_openmpi.so.103 => /usr/lib/libhdf5_openmpi.so.103 (0x00007f0d)\n", 1),
    (SERIAL.replace("netcdf", "netcat"), 1),
    (SERIAL + "\tlibgdal.so.32 => not found\n", 1),
]


def write_tree(root, files):
    for name, text in files.items():
        p = root / name
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text(text, encoding="utf-8")


def main():
    faults = []
    for what, check in audit.AUDITS.items():
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write_tree(root, CLEAN)
            bad = check(root)
            if bad:
                faults.append(f"{what}: a clean tree is refused: {bad}")
    for what, name, text, expect in VIOLATIONS:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write_tree(root, {**CLEAN, name: text})
            bad = audit.AUDITS[what](root)
            if not any(expect in b for b in bad):
                faults.append(f"{what}: missed in {name}: {expect} (found {bad})")
    for listing, violated in LISTINGS:
        if bool(audit.audit_linked(listing)) != bool(violated):
            faults.append(f"ldd: wrong verdict on\n{listing}")
    print("\n".join(faults) or f"{len(VIOLATIONS) + len(LISTINGS)} controls found")
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except audit.NotApplicable as reason:
        print(f"skipped: {reason}")
        sys.exit(77)
