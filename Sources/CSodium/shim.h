// libsodium, as the system's libsodium-dev has it.
#include <sodium.h>
