// The commands that look at runs and files: verify, replay, compare, report.
#pragma once

#include <string>
#include <vector>

#include "tools/library/check/verify.h"

namespace instep {

// Each prints what it found, answers an exit code, and throws CommandError.

// A line a file.
int run_verify(const VerifyOptions& options, bool json);

int run_replay(const std::string& file, bool json);

// Where two runs differ first: settings, then episodes, then the newest checkpoint by named parts.
int run_compare(const std::string& first, const std::string& second);

int run_report(const std::vector<std::string>& folders, const std::string& out);

}  // namespace instep
