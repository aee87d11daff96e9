// Any words as a command line, one a line of the input. They are read, and what they ask for is not
// done.
#include <vector>

#include "fuzz_file.h"
#include "tools/instep/command_line.h"
#include "tools/library/error.h"

using instep::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  std::vector<std::string> words = {"instep"};
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  pointers.push_back(nullptr);
  try {
    const instep::CommandLine line =
        instep::parse_command_line(static_cast<int>(words.size()), pointers.data());
    require(line.action ? line.exit_code == instep::kDone
                        : line.exit_code == instep::kDone || line.exit_code == instep::kWrongUse);
  } catch (const instep::UsageError&) {
  }
  return 0;
}
