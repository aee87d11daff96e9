// What machine this is, in words.
#pragma once

#include <string>

namespace instep {

// Processor model and number of cores, for summaries and reports; "unknown" where /proc does not
// tell.
std::string machine_text();

}  // namespace instep
