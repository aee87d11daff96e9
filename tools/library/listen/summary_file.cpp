#include "tools/library/listen/summary_file.h"

#include "tools/library/error.h"
#include "tools/library/listen/summary.h"
#include "tools/library/report/run_summary_json.h"
#include "tools/library/run/run_folder.h"

namespace instep {

void SummaryFile::complete(const RunSummary& summary) {
  try {
    write_file(path_, json_text(to_json(summary), 2) + '\n');
  } catch (const CommandError& error) {
    troubles_.end_run(error.what());
  }
}

}  // namespace instep
