// How punctual the whole real path is, against the bare system's own lateness in the same minutes.
// INSTEP_PUNCTUALITY_SECONDS: how long (default 30; 600 is the figure of record).
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "command.h"

namespace instep {
namespace {

TEST(Punctuality, IsThatOfTheSystemAtFiveHundredHertz) {
  const char* seconds = std::getenv("INSTEP_PUNCTUALITY_SECONDS");
  const CommandResult result =
      run_command({"profile", "create_mover", "--rate", "500", "--seconds",
                   seconds != nullptr ? seconds : "30", "--updates", "1000", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  std::printf("%s", result.out.c_str());
  const auto profile = nlohmann::json::parse(result.last_line());
  EXPECT_LE(profile.at("wakeup_over_baseline").get<double>(), 2.0);
  // No tick waits for the one before it, whatever the learner does; one in a thousand may have been
  // interrupted by the system.
  EXPECT_LE(profile.at("overruns").at("computed_late").get<double>(),
            0.001 * profile.at("ticks").get<double>());
  // The I/O thread brings a packet in time, unless the system kept it from doing so.
  EXPECT_LE(profile.at("old_packets_of").at("link").get<double>(),
            0.01 * profile.at("ticks").get<double>());
  // Every tick that was not as it should be has its causes and the steal time around it.
  const auto& listed = profile.at("overruns_listed");
  EXPECT_EQ(listed.size(),
            std::min<std::size_t>(profile.at("overrun_ticks").get<std::size_t>(), 1000));
  for (const auto& overrun : listed) {
    EXPECT_FALSE(overrun.at("causes").empty());
    EXPECT_TRUE(overrun.contains("steal_ms"));
  }
}

}  // namespace
}  // namespace instep
