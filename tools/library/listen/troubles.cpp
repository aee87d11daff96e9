#include "tools/library/listen/troubles.h"

#include "tools/library/error.h"

namespace instep {

void Troubles::end_run(int error, const char* file) {
  if (error == 0) return;
  end_run(system_trouble(folder_ + '/' + file + ": cannot be written", error));
}

void Troubles::end_run(const std::string& why) {
  if (why_.empty()) why_ = why;
}

void Troubles::leave_out(int error, const std::string& file) {
  if (error == 0) return;
  voice_.say(
      "instep: warning: " +
      system_trouble(folder_ + '/' + file + ": cannot be written, and the run goes on without it",
                     error));
  left_out_.push_back(file);
}

}  // namespace instep
