// Nettle's SHA-256, as the system's nettle-dev has it.
#include <nettle/sha2.h>
#include <nettle/version.h>

// The digest of all that the context was given; the context begins anew.
static inline void fairdraw_sha256_digest(struct sha256_ctx *context, uint8_t *digest) {
#if NETTLE_VERSION_MAJOR < 4
  sha256_digest(context, SHA256_DIGEST_SIZE, digest);
#else
  sha256_digest(context, digest);
#endif
}
