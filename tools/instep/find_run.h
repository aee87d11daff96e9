// The folder of a run, however it was named.
#pragma once

#include <string>

namespace instep {

// A run may be named by its folder, by a file in it (checkpoint, report.html, ...), or by a folder
// above it, which means the newest run inside; which one that is goes to stderr. Names that lead to
// no run are answered as they are, for whoever opens them to say what is wrong.
std::string find_run(const std::string& named);

// The same, but a folder of several seeds stands for itself.
std::string find_run_or_seeds(const std::string& named);

}  // namespace instep
