// Hashes that tell files and settings apart, and find damage. Not for secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace instep {

inline constexpr std::uint64_t kHashStart = 0xCBF29CE484222325;
inline constexpr std::uint64_t kHashPrime = 0x100000001B3;

// FNV-1a, 64 bits. Goes on from `state`, so that parts may be hashed one after the other.
inline std::uint64_t hash_text(std::string_view text, std::uint64_t state = kHashStart) {
  for (const char letter : text) state = (state ^ static_cast<std::uint8_t>(letter)) * kHashPrime;
  return state;
}

// For long data: XXH3 of 64 bits. `seed` is the hash of the part before, where parts are hashed one
// after the other. The same on every machine.
std::uint64_t hash_bytes(std::span<const std::uint8_t> bytes, std::uint64_t seed = 0);

// The hash of checkpoints of format version 1, of records and of `measured`: FNV's step for eight
// bytes at a time, and a shift, by which high bits reach low ones.
inline std::uint64_t hash_words(std::span<const std::uint8_t> bytes,
                                std::uint64_t state = kHashStart) {
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    state = (state ^ word) * kHashPrime;
    state ^= state >> 29;
  }
  for (; at < bytes.size(); ++at) state = (state ^ bytes[at]) * kHashPrime;
  return state;
}

}  // namespace instep
