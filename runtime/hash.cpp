// The only file that includes xxHash: all of it is compiled in here, and nothing is linked.
#include "runtime/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace instep {

std::uint64_t hash_bytes(std::span<const std::uint8_t> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace instep
