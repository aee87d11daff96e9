// Any text as URScript: it is refused, or it runs within its bounds.
#include <memory>
#include <string_view>

#include "drivers/ur/controller.h"
#include "fuzz_file.h"

using instep::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto program = std::make_unique<instep::UrProgram>();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t bytes = instep::ur_script_bytes(text);
  require(bytes <= size && (bytes == 0 || text[bytes - 1] == '\n'));

  instep::UrScriptError error;
  const bool compiles = instep::compile_ur_script(text, program.get(), &error);
  require(compiles == (error.text[0] == '\0'));

  const auto controller = std::make_unique<instep::UrController>();
  controller->make_ready();
  controller->run_script(text);
  if (!compiles) require(controller->runtime() == instep::UrRuntime::kStopped);
  for (int i = 0; i < 12; ++i) controller->tick();
  for (const double q : controller->arm().q) require(q > -7.0 && q < 7.0);
  return 0;
}
