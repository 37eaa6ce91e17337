/* Preloaded into a program that is tested: a source of random bytes that breaks when the test says so, in a file. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getentropy(void *buffer, size_t length) {
  char mood[8] = "";
  FILE *file = fopen(getenv("TEST_ENTROPY"), "r");
  if (file) {
    if (!fgets(mood, sizeof mood, file)) mood[0] = 0;
    fclose(file);
  }
  if (strcmp(mood, "broken") == 0) {
    errno = EIO;
    return -1;
  }
  int result = ((int (*)(void *, size_t))dlsym(RTLD_NEXT, "getentropy"))(buffer, length);
  if (strcmp(mood, "stuck") == 0) memset(buffer, 0x5a, length);
  /* Every fourth byte is the same: never twice in a row, and far too often. */
  if (strcmp(mood, "biased") == 0)
    for (size_t place = 0; place < length; place += 4) ((unsigned char *)buffer)[place] = 0x5a;
  return result;
}
