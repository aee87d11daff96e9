// The body of a report of one run.
#pragma once

#include <string>

#include "tools/library/report/digest.h"

namespace instep {

// Everything that is known of the run, as HTML.
std::string one_run_body(const ReportedRun& run);

// One sentence in plain words: what was learnt, from how much, in how long, by what. HTML.
std::string headline(const ReportedRun& run);

// Which of the run's files were damaged and are left out, as HTML; nothing where none was.
std::string problems_note(const ReportedRun& run);

// By what, where and when the run was made, as HTML; nothing where that is not known.
std::string origin_table(const ReportedRun& run);

// The run's config.toml as HTML; nothing where it is missing.
std::string settings_block(const ReportedRun& run);

}  // namespace instep
