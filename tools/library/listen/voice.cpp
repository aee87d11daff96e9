#include "tools/library/listen/voice.h"

#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "runtime/realtime/spsc_ring.h"
#include "runtime/realtime/thread.h"

namespace instep {
namespace {

// Text of fixed room; what does not fit is left out.
template <std::size_t kBytes>
struct Text {
  std::array<char, kBytes> bytes{};
  std::size_t size = 0;

  [[nodiscard]] bool append(std::string_view text) {
    if (text.size() > kBytes - size) return false;
    std::copy(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    size += text.size();
    return true;
  }
  std::string_view view() const { return {bytes.data(), size}; }
};

constexpr std::size_t kLineBytesMax = 1024;

// The longest beginning of a line that leaves room for its last parts (" | held"): what is wrong
// must be seen on a narrow terminal, too, where a longer line could not be written over. 0 columns:
// as it is.
std::size_t columns_of_head(std::string_view line, std::size_t tail_begin, std::size_t columns) {
  const std::size_t tail = line.size() - tail_begin;
  if (columns == 0 || line.size() < columns) return tail_begin;
  return tail + 1 < columns ? std::min(tail_begin, columns - 1 - tail) : 0;
}

}  // namespace

std::size_t terminal_columns(int descriptor) {
  constexpr std::size_t kColumnsMin = 40;
  winsize size{};
  if (isatty(descriptor) != 1) return 0;
  const char* const said = std::getenv("COLUMNS");
  long columns = said == nullptr ? 0 : std::strtol(said, nullptr, 10);
  if (columns <= 0 && ioctl(descriptor, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
  return columns <= 0 ? 80 : std::max(kColumnsMin, static_cast<std::size_t>(columns));
}

// What both sides know.
class Voice::Mouth {
 public:
  Mouth(int descriptor, bool is_on_terminal)
      : descriptor_(descriptor), is_on_terminal_(is_on_terminal) {}

  void say(std::string_view line) {
    {
      const std::lock_guard lock(mutex_);
      add(line.substr(0, kLineBytesMax));
    }
    wake_.wake();
  }
  void show(std::string_view line) {
    {
      const std::lock_guard lock(mutex_);
      shown_.size = 0;
      has_shown_ = shown_.append(line.substr(0, kLineBytesMax));
    }
    wake_.wake();
  }
  void post(std::string_view line) {
    Text<kPostBytesMax> text;
    static_cast<void>(text.append(line.substr(0, kPostBytesMax)));
    if (!posted_.push(text)) posts_dropped_.fetch_add(1, std::memory_order_relaxed);
    wake_.wake();
  }
  void end() {
    is_ending_ = true;
    wake_.wake();
  }
  // Whether the thread has written everything by then.
  bool has_ended(std::int64_t timeout_ns) const {
    pollfd wanted{ended_.descriptor(), POLLIN, 0};
    const std::int64_t timeout_ms = std::min<std::int64_t>(timeout_ns / 1'000'000, INT32_MAX);
    int ready = -1;
    while ((ready = poll(&wanted, 1, static_cast<int>(timeout_ms))) < 0 && errno == EINTR) continue;
    return ready == 1;
  }
  void run();

 private:
  void add(std::string_view line);
  void take();
  void put(std::string_view text);
  void write_all() const;

  int descriptor_;
  bool is_on_terminal_;
  WakeUp wake_;
  WakeUp ended_;
  std::atomic<bool> is_ending_{false};
  SpscRing<Text<kPostBytesMax>, 16> posted_;
  std::atomic<std::uint32_t> posts_dropped_{0};
  std::mutex mutex_;  // of the following
  Text<8192> said_;
  Text<kLineBytesMax> shown_;
  bool has_shown_ = false;
  std::uint32_t dropped_ = 0;  // lines
  // The thread's.
  Text<16384> out_;
  bool is_line_open_ = false;  // the terminal's last line may be written over
};

void Voice::Mouth::add(std::string_view line) {
  if (said_.size + line.size() + 1 > said_.bytes.size()) {
    ++dropped_;
    return;
  }
  static_cast<void>(said_.append(line) && said_.append("\n"));
}

void Voice::Mouth::put(std::string_view text) {
  static_cast<void>(out_.append(text));  // its room is that of all that may come together
}

void Voice::Mouth::take() {
  const std::lock_guard lock(mutex_);
  out_.size = 0;
  for (const auto* line = posted_.front(); line != nullptr; line = posted_.front()) {
    add(line->view());
    posted_.pop();
  }
  dropped_ += posts_dropped_.exchange(0, std::memory_order_relaxed);
  if (is_line_open_ && (said_.size > 0 || dropped_ > 0)) put("\n");
  if (said_.size > 0 || dropped_ > 0) is_line_open_ = false;
  put(said_.view());
  said_.size = 0;
  if (dropped_ > 0) {
    char text[64];
    std::snprintf(text, sizeof text, "(%u lines were left out: nothing took them)\n", dropped_);
    put(text);
    dropped_ = 0;
  }
  if (has_shown_) {
    if (is_on_terminal_) put("\r");
    const std::string_view line = shown_.view();
    const std::size_t columns = is_on_terminal_ ? terminal_columns(descriptor_) : 0;
    const std::size_t tail = std::min(line.find(" | "), line.size());
    const std::size_t head = columns_of_head(line, tail, columns);
    put(line.substr(0, head));
    put(line.substr(tail, columns == 0 ? line.size() : columns - 1));
    put(is_on_terminal_ ? "\x1b[K" : "\n");
    is_line_open_ = is_on_terminal_;
    has_shown_ = false;
  }
}

void Voice::Mouth::write_all() const {
  std::string_view rest = out_.view();
  while (!rest.empty()) {
    const ssize_t count = write(descriptor_, rest.data(), rest.size());
    if (count > 0) rest.remove_prefix(static_cast<std::size_t>(count));
    if (count >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return;  // nobody reads any more: no reason to stop learning
    // Somebody has made the terminal so that it does not wait.
    pollfd wanted{descriptor_, POLLOUT, 0};
    poll(&wanted, 1, 100);
  }
}

void Voice::Mouth::run() {
  pthread_setname_np(pthread_self(), "instep-voice");
  for (bool is_last = false; !is_last;) {
    wake_.wait();
    is_last = is_ending_;  // asked before the last lines are taken
    take();
    if (is_last && is_line_open_) put("\n");
    write_all();
  }
  ended_.wake();
}

Voice::Voice(int descriptor)
    : is_on_terminal_(isatty(descriptor) == 1),
      mouth_(std::make_shared<Mouth>(descriptor, is_on_terminal_)) {
  thread_ =
      start_thread("the thread that writes what a run says", [mouth = mouth_] { mouth->run(); });
}

Voice::~Voice() {
  finish(kLastWordsNs);
}

void Voice::say(std::string_view line) {
  mouth_->say(line);
}

void Voice::show(std::string_view line) {
  mouth_->show(line);
}

void Voice::post(std::string_view line) {
  mouth_->post(line);
}

void Voice::finish(std::int64_t timeout_ns) {
  if (!thread_.joinable()) return;
  mouth_->end();
  if (mouth_->has_ended(timeout_ns)) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

}  // namespace instep
