// Structs as JSON objects, from one list of their fields.
//
// A struct has a function `each_field(s, visit)` that calls visit("key", s.member) for each field;
// it is a template, so that it serves reading and writing. Thus no key stands in two places.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "tools/library/error.h"

namespace instep {

// For declaring each_field(): S is T, or T that may not be changed.
template <typename S, typename T>
concept Is = std::same_as<std::remove_const_t<S>, T>;

namespace json_fields {

struct NoVisit {
  template <typename T>
  void operator()(const char*, T&) const {}
};

template <typename T>
concept Fielded = requires(T& s) {
  each_field(s, NoVisit());
};

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsMap = false;
template <typename T>
inline constexpr bool kIsMap<std::map<std::string, T>> = true;

}  // namespace json_fields

// Absent optionals, and numbers that are not finite, become null.
template <typename T>
nlohmann::json encode_fields(const T& value) {
  if constexpr (json_fields::kIsOptional<T>) {
    return value ? encode_fields(*value) : nlohmann::json(nullptr);
  } else if constexpr (json_fields::kIsVector<T>) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& entry : value) list.push_back(encode_fields(entry));
    return list;
  } else if constexpr (json_fields::Fielded<const T>) {
    nlohmann::json object = nlohmann::json::object();
    each_field(value,
               [&](const char* key, const auto& member) { object[key] = encode_fields(member); });
    return object;
  } else {
    return value;
  }
}

// A key that is missing or null leaves the field as it is: files of an earlier version lack some.
// Throws DataError naming the key when a value is of another kind.
template <typename T>
void decode_fields(const nlohmann::json& json, const std::string& where, T& value) {
  const auto refuse = [&](const char* wanted) {
    throw DataError((where.empty() ? "the file" : where) + " is not " + wanted);
  };
  if (json.is_null()) return;
  if constexpr (json_fields::kIsOptional<T>) {
    value.emplace();
    decode_fields(json, where, *value);
  } else if constexpr (json_fields::kIsVector<T>) {
    if (!json.is_array()) refuse("a list");
    value.clear();
    for (std::size_t i = 0; i < json.size(); ++i) {
      decode_fields(json[i], where + '[' + std::to_string(i) + ']', value.emplace_back());
    }
  } else if constexpr (json_fields::kIsMap<T>) {
    if (!json.is_object()) refuse("an object");
    value.clear();
    for (const auto& [key, entry] : json.items()) {
      decode_fields(entry, where + '.' + key, value[key]);
    }
  } else if constexpr (json_fields::Fielded<T>) {
    if (!json.is_object()) refuse("an object");
    each_field(value, [&](const char* key, auto& member) {
      const auto found = json.find(key);
      if (found != json.end()) {
        decode_fields(*found, where.empty() ? key : where + '.' + key, member);
      }
    });
  } else if constexpr (std::same_as<T, bool>) {
    if (!json.is_boolean()) refuse("true or false");
    value = json.get<bool>();
  } else if constexpr (std::integral<T>) {
    const bool fits =
        json.is_number_unsigned()
            ? json.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<T>::max())
            : json.is_number_integer() && std::is_signed_v<T>;
    if (!fits) refuse("a whole number that fits");
    value = json.get<T>();
  } else if constexpr (std::floating_point<T>) {
    if (!json.is_number()) refuse("a number");
    value = json.get<T>();
  } else {
    if (!json.is_string()) refuse("text");
    value = json.get<std::string>();
  }
}

}  // namespace instep
