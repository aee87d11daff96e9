// Any lines for the simulated dashboard, and any answers for the driver's end of it.
#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "drivers/ur/controller.h"
#include "drivers/ur/dashboard.h"
#include "drivers/ur/dashboard_link.h"
#include "fuzz_file.h"

using instep::require;

namespace {

// In pieces of up to 16 bytes, whose sizes the bytes themselves say.
template <typename Take>
void in_pieces(const std::uint8_t* data, std::size_t size, const Take& take) {
  while (size > 0) {
    const std::size_t count = std::min<std::size_t>(size, 1 + data[0] % 16);
    take(std::span(data, count));
    data += count;
    size -= count;
  }
}

void serve(const std::uint8_t* data, std::size_t size) {
  const auto controller = std::make_unique<instep::UrController>(instep::UrControllerOptions{
      (size & 1) != 0 ? instep::UrModel::kCb3 : instep::UrModel::kESeries});
  controller->make_ready();
  const auto out = std::make_unique<instep::UrOutbox>();
  const auto client = std::make_unique<instep::UrDashboardClient>();
  client->open(*out);
  bool is_open = true;
  in_pieces(data, size, [&](std::span<const std::uint8_t> bytes) {
    if (is_open) is_open = client->on_bytes(bytes, *controller, *out);
    controller->tick();
    std::array<std::uint8_t, 4096> answer{};
    while (out->read(answer) > 0) {
    }
  });
}

void listen(const std::uint8_t* data, std::size_t size) {
  instep::UrDashboardLink link;
  link.on_connect();
  std::int64_t now_ns = 0;
  in_pieces(data, size, [&](std::span<const std::uint8_t> bytes) {
    now_ns += std::int64_t{bytes[0]} * 100'000'000;
    link.on_bytes(bytes);
    if (link.is_free(now_ns)) static_cast<void>(link.send("unlock protective stop", now_ns));
    require(link.output().size() <= 128 && link.answer().size() <= 256);
    link.consume(std::min<std::size_t>(link.output().size(), bytes.size()));
    if (bytes[0] == 0) {
      link.on_disconnect();
      link.on_connect();
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  serve(data, size);
  listen(data, size);
  return 0;
}
