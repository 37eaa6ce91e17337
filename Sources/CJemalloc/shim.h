// jemalloc, as the system's libjemalloc-dev has it.
#include <jemalloc/jemalloc.h>
