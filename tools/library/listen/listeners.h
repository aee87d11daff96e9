// The listeners that every run has.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/settings.h"
#include "tools/library/listen/episode_log.h"
#include "tools/library/listen/listener.h"
#include "tools/library/listen/service_notice.h"
#include "tools/library/listen/troubles.h"
#include "tools/library/listen/voice.h"

namespace instep {

// What a run lends its listeners, for as long as they live.
struct RunStage {
  const RunConfig& config;
  const std::string& folder;
  Voice& voice;
  Troubles& troubles;
  EpisodeLog& episodes;   // whose lines checkpoints count; open before begin()
  ServiceNotice& notice;  // fed by the robot's hands, where there is a robot
  bool is_on_robot = false;
};

// In the order in which they are told. A new one is a file and a line in listeners.cpp.
std::vector<std::unique_ptr<Listener>> make_listeners(const RunStage& stage);

}  // namespace instep
