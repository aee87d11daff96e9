// Files of a run that cannot be written, and what that means for it.
#pragma once

#include <string>
#include <vector>

#include "tools/library/listen/voice.h"

namespace instep {

// One thread. Borrows the voice.
class Troubles {
 public:
  Troubles(const std::string& folder, Voice& voice) : folder_(folder), voice_(voice) {}

  // A file that the run cannot be without: it ends in order, the robot is stopped, and what can be
  // written is. Of several the first counts. `error`: an errno value; 0: nothing has happened.
  void end_run(int error, const char* file);
  // The same, in words.
  void end_run(const std::string& why);
  // An optional file: the run goes on without it.
  void leave_out(int error, const std::string& file);

  // Why the run has to end; empty while it need not.
  const std::string& why() const { return why_; }
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  std::string folder_;
  Voice& voice_;
  std::string why_;
  std::vector<std::string> left_out_;
};

}  // namespace instep
