/* Preloaded into a program that is tested: its clock is TEST_CLOCK_SHIFT seconds ahead of the machine's, or behind it if
   the number is negative; so are the times until which it waits. Clocks that only measure stay as they are. */

#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* What is later than this is a date, and what is earlier a time since the machine started. */
#define DATES 1000000000

static time_t shift;

__attribute__((constructor)) static void read_shift(void) {
  const char *text = getenv("TEST_CLOCK_SHIFT");
  if (text) shift = atoll(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift;
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &exact) != 0) return -1;
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (now) *now = exact.tv_sec;
  return exact.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
  struct timespec real = *until;
  if (until->tv_sec < DATES) return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &real);
  real.tv_sec -= shift;
  return pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, &real);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  struct timespec real = *until;
  real.tv_sec -= shift;
  return sem_clockwait(semaphore, CLOCK_REALTIME, &real);
}
