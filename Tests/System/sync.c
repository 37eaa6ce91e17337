// A bad disk, loaded before the C library. While the file TEST_REFUSES exists, fdatasync fails; every sync takes
// TEST_SYNC_DELAY microseconds longer. Syncs that run at the same time wait at the same time.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void delay(void) {
  const char *setting = getenv("TEST_SYNC_DELAY");
  long microseconds = setting == NULL ? 0 : atol(setting);
  struct timespec left = {microseconds / 1000000, microseconds % 1000000 * 1000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

int fdatasync(int file) {
  const char *refuses = getenv("TEST_REFUSES");
  if (refuses != NULL && access(refuses, F_OK) == 0) {
    errno = EIO;
    return -1;
  }
  delay();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}

int fsync(int file) {
  delay();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int sync_file_range(int file, off64_t offset, off64_t length, unsigned int flags) {
  delay();
  return ((int (*)(int, off64_t, off64_t, unsigned int))dlsym(RTLD_NEXT, "sync_file_range"))(file, offset, length, flags);
}
