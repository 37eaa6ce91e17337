// sqlite3_config takes arguments of any number and type, which Swift cannot call.
#include <sqlite3.h>

static inline int fairdraw_sqlite3_count_no_memory(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }
