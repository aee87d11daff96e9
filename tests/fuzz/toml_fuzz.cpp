// Any bytes as a settings file, and as the config.toml of a run.
#include "fuzz_file.h"
#include "tools/library/error.h"
#include "tools/library/run/settings_io.h"

using instep::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const instep::FuzzFile file(data, size);
  try {
    instep::RunConfig config;
    instep::apply_run_table(config, file.path());
    instep::apply_learner_table(config.settings, file.path());
  } catch (const instep::UsageError&) {
  }
  try {
    // What has been accepted is a configuration: written and read again it is the same.
    const std::string text = instep::write_config_toml(instep::read_config_toml(file.path()));
    const instep::FuzzFile again(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    require(instep::write_config_toml(instep::read_config_toml(again.path())) == text);
  } catch (const instep::DataError&) {
  }
  return 0;
}
