#include "tools/library/listen/listeners.h"

#include <array>

#include "tools/library/listen/episode_lines.h"
#include "tools/library/listen/event_points.h"
#include "tools/library/listen/progress.h"
#include "tools/library/listen/service_listener.h"
#include "tools/library/listen/speed_listener.h"
#include "tools/library/listen/summary_file.h"

namespace instep {
namespace {

template <class Kind>
std::unique_ptr<Listener> make(const RunStage& stage) {
  return std::make_unique<Kind>(stage);
}

constexpr std::array kListeners = {
    make<EpisodeLines>,     // episodes.csv
    make<EventPoints>,      // events.out.tfevents.instep
    make<SpeedListener>,    // steps a second, for the summary
    make<Progress>,         // the line on the terminal
    make<ServiceListener>,  // systemd
    make<SummaryFile>,      // summary.json
};

}  // namespace

std::vector<std::unique_ptr<Listener>> make_listeners(const RunStage& stage) {
  std::vector<std::unique_ptr<Listener>> listeners;
  for (const auto make_one : kListeners) listeners.push_back(make_one(stage));
  return listeners;
}

}  // namespace instep
