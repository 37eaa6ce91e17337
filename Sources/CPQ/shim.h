// libpq, as the system's libpq-dev has it.
#include <libpq-fe.h>
