// Swift cannot call sqlite3_config, which takes any number of arguments.
#include <sqlite3.h>

static inline int fairdraw_sqlite3_count_no_memory(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }
