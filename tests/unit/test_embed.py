"""cmake/embed.cmake keeps every byte: quotes, lists, references, comments, empty and long files."""
import pathlib
import subprocess
import sys

work, source = pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
TEXTS = {
    "plain.csv": b"a,b\n1,2\n",
    "nasty.txt": b'"q" \\ ; [x] ${VAR} $ENV{HOME} @AT@ */ /* ??/ \r\n\ttab\n\xe5\x8c\x97 no newline at end',
    "empty.txt": b"",
    "nine.txt": b"123456789",
    "long.txt": bytes(i * 7 % 251 + 1 for i in range(20000)),
}
MAIN = """
#include <stdio.h>
#include "src/core/file.h"
int main(int argc, char **argv) {
  size_t n = 0;
  const char *text = sky_embedded(argc > 1 ? argv[1] : "", &n);
  if (text == NULL) return 2;
  return fwrite(text, 1, n, stdout) == n && text[n] == 0 ? 0 : 3;
}
"""

work.mkdir(parents=True, exist_ok=True)
for name, data in TEXTS.items():
    (work / name).write_bytes(data)
(work / "main.c").write_text(MAIN)
files = ";".join(str(work / name) for name in TEXTS)
subprocess.run(["cmake", f"-DOUT={work / 'embedded.c'}", f"-DFILES={files}", "-P",
                str(source / "cmake" / "embed.cmake")], check=True)
subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{source}",
                f"-I{source / 'include'}", str(work / "embedded.c"), str(work / "main.c"), "-o",
                str(work / "show")], check=True)
for name, data in TEXTS.items():
    got = subprocess.run([str(work / "show"), name], capture_output=True, check=True).stdout
    assert got == data, f"{name}: {got[:80]!r} is not {data[:80]!r}"
assert subprocess.run([str(work / "show"), "none"]).returncode == 2
