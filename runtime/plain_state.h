// State that is saved as the bytes of one struct.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "kernels/check.h"

namespace instep {

// Overwrites out [sizeof state].
template <typename State>
void save_plain(const State& state, std::span<std::uint8_t> out) {
  static_assert(std::is_trivially_copyable_v<State>);
  INSTEP_CHECK(out.size() == sizeof state);
  std::memcpy(out.data(), &state, sizeof state);
}

// The state at the start of bytes that are at least as many, whatever it says.
template <typename State>
State read_plain(std::span<const std::uint8_t> in) {
  static_assert(std::is_trivially_copyable_v<State>);
  INSTEP_CHECK(in.size() >= sizeof(State));
  State state;
  std::memcpy(&state, in.data(), sizeof state);
  return state;
}

// Takes the state when the bytes are as many as it has and is_valid(state) accepts what they say;
// else answers false and leaves `state` as it is. A valid range is best written so that a NaN
// fails.
template <typename State, typename IsValid>
[[nodiscard]] bool load_plain(std::span<const std::uint8_t> in, State& state,
                              const IsValid& is_valid) {
  static_assert(std::is_trivially_copyable_v<State>);
  if (in.size() != sizeof state) return false;
  State read = state;
  std::memcpy(&read, in.data(), sizeof read);
  if (!is_valid(read)) return false;
  state = read;
  return true;
}

}  // namespace instep
