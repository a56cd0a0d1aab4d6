# embed.cmake: text files as a C table. Called as
#   cmake -DOUT=file.c "-DFILES=a;b" [-DFUNCTION=name -DHEADER=declares/it.h] -P embed.cmake
# The bytes are written as numbers: any content is safe, and there is no limit on string length.
if(NOT DEFINED FUNCTION)
  set(FUNCTION sky_embedded)
  set(HEADER src/core/file.h)
endif()
set(arrays "")
set(rows "")
set(i 0)
foreach(path IN LISTS FILES)
  get_filename_component(name "${path}" NAME)
  file(READ "${path}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR length "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  # Eight bytes a line (CMake has at most nine groups).
  string(REGEX REPLACE "((0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?)"
         "  \\1\n" bytes "${bytes}")
  string(APPEND arrays "static const unsigned char FILE_${i}[] = { /* ${name} */\n${bytes}  0};\n")
  string(APPEND rows "    {\"${name}\", (const char *)FILE_${i}, ${length}},\n")
  math(EXPR i "${i} + 1")
endforeach()
file(WRITE "${OUT}" "/* Written by cmake/embed.cmake. */
#include <string.h>

#include \"${HEADER}\"

${arrays}
static const struct {
  const char *name, *text;
  size_t length;
} FILES[] = {
${rows}};

const char *${FUNCTION}(const char *name, size_t *length) {
  for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
    if (strcmp(FILES[i].name, name) != 0) continue;
    if (length != NULL) *length = FILES[i].length;
    return FILES[i].text;
  }
  return NULL;
}
")
