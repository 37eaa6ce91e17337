// The settings of glibc's allocator. Other systems' allocators have none of them.
#if __has_include(<malloc.h>)
#include <malloc.h>
#endif
