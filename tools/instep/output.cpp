#include "tools/instep/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "tools/library/listen/summary.h"
#include "tools/library/listen/voice.h"

namespace instep {
namespace {

// Standard output, while its descriptor leads to stderr; null before.
std::FILE* json_stream = nullptr;

int finish_stream(std::FILE* stream) {
  if (std::fflush(stream) == 0 && std::ferror(stream) == 0) return 0;
  const int error = errno;
  pollfd output{fileno(stream), POLLOUT, 0};
  const bool has_reader = poll(&output, 1, 0) < 0 || (output.revents & POLLERR) == 0;
  return has_reader ? error : 0;
}

}  // namespace

void keep_output_for_json() {
  std::fflush(stdout);
  const int kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (kept < 0) return;
  json_stream = fdopen(kept, "w");
  if (json_stream != nullptr) dup2(STDERR_FILENO, STDOUT_FILENO);
}

void print_json(const nlohmann::json& value) {
  std::fprintf(json_stream != nullptr ? json_stream : stdout, "%s\n", json_text(value).c_str());
}

int finish_output() {
  const int error = finish_stream(stdout);
  return error != 0 || json_stream == nullptr ? error : finish_stream(json_stream);
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns) {
  if (columns == 0) return std::string(text);
  std::string lines;
  std::size_t room = columns;
  while (text.size() > room) {
    std::size_t end = text.rfind(' ', room);
    if (end == std::string_view::npos || text.find_first_not_of(' ') > end) {
      end = std::min(text.find(' ', room), text.size());
    }
    lines += text.substr(0, end);
    text.remove_prefix(end);
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    if (text.empty()) return lines;
    lines += '\n' + std::string(indent, ' ');
    room = columns > indent + 20 ? columns - indent : 20;
  }
  return lines += text;
}

void print_wrapped(std::string_view text, std::size_t indent) {
  std::printf("%s\n", wrapped(text, indent, terminal_columns(STDOUT_FILENO)).c_str());
}

}  // namespace instep
