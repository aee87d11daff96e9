// How the benchmark's learners tell what they hold.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace instep {

// Named arrays in the golden files' words, for example "actor/w1", row-major.
using NamedValues = std::map<std::string, std::vector<double>>;

}  // namespace instep
