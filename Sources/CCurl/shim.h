// libcurl, as the system's libcurl4-openssl-dev has it, with what Swift cannot call for the `...` in its declaration.
#include <curl/curl.h>

#define CCURL_SETTER(name, type) \
  static inline CURLcode ccurl_set_##name(CURL *handle, CURLoption option, type value) { \
    return curl_easy_setopt(handle, option, value); \
  }

CCURL_SETTER(number, long)
CCURL_SETTER(pointer, const void *)
CCURL_SETTER(taker, curl_write_callback)
CCURL_SETTER(opener, curl_opensocket_callback)

static inline CURLMcode ccurl_multi_set_number(CURLM *multi, CURLMoption option, long value) {
  return curl_multi_setopt(multi, option, value);
}

_Static_assert(sizeof(long) == sizeof(curl_off_t), "libcurl's two types of numbers are one");
static inline long ccurl_number(CURL *handle, CURLINFO info) {
  long value = 0;
  curl_easy_getinfo(handle, info, &value);
  return value;
}

static inline const struct sockaddr *ccurl_address(const struct curl_sockaddr *address) { return &address->addr; }
