/* driver.c: runs a harness over the files of folders, where libFuzzer is not linked. */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static void run_file(const char *path) {
  FILE *f = fopen(path, "rb");
  HOLDS(f != NULL);
  static uint8_t bytes[1 << 20];
  const size_t n = fread(bytes, 1, sizeof bytes, f);
  fclose(f);
  LLVMFuzzerTestOneInput(bytes, n);
  for (size_t cut = 1; cut < 8; ++cut) /* and its beginnings */
    LLVMFuzzerTestOneInput(bytes, n * cut / 8);
}

int main(int argc, char **argv) {
  int files = 0;
  for (int i = 1; i < argc; ++i) {
    DIR *folder = opendir(argv[i]);
    HOLDS(folder != NULL);
    for (const struct dirent *e; (e = readdir(folder)) != NULL;) {
      char path[4096];
      struct stat info;
      snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
      if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) continue;
      run_file(path);
      ++files;
    }
    closedir(folder);
  }
  printf("%d files\n", files);
  return files == 0;
}
