#include "tools/library/measure/bound.h"

#include <algorithm>
#include <cstdint>

#include "runtime/clock.h"

namespace instep {
namespace {

std::size_t whole_steps(std::size_t count) {
  return (count + kBoundStep - 1) / kBoundStep * kBoundStep;
}

double median_us(std::vector<std::int64_t> samples_ns) {
  const auto middle = samples_ns.begin() + static_cast<std::ptrdiff_t>(samples_ns.size() / 2);
  std::nth_element(samples_ns.begin(), middle, samples_ns.end());
  return static_cast<double>(*middle) / 1e3;
}

}  // namespace

Traffic traffic(const Layout& layout, Schedule schedule) {
  const auto bytes = [](std::size_t floats) { return floats * sizeof(float); };
  const std::size_t actor = bytes(layout.actor.floats);
  const std::size_t critic = bytes(layout.critic.floats);
  const auto square = bytes(static_cast<std::size_t>(layout.actor.width * layout.shape.hidden_dim));
  // An update reads and writes each weight and each second moment.
  if (schedule == Schedule::kThroughput) {
    return {.act = 4 * actor, .learn = critic + 4 * critic, .prepare = 2 * square};
  }
  return {.act = actor, .learn = actor + critic + 4 * critic, .prepare = 2 * square + 4 * actor};
}

Bound::Bound(const Shape& shape, const BoundLoops& loops) : loops_(loops) {
  const Layout layout = make_layout(shape, Algorithm::kAvg, 1);
  actor_ = whole_steps(layout.actor.floats);
  critic_ = whole_steps(layout.critic.floats);
  square_ = whole_steps(static_cast<std::size_t>(layout.actor.width * shape.hidden_dim));
  const std::size_t count = actor_ + critic_;
  storage_.assign(2 * count + 16, 1.0F);
  const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
  weights_ = storage_.data() + (64 - address % 64) % 64 / sizeof(float);
  second_ = weights_ + count;
}

template <typename Update>
void Bound::run_passes(const Update& update) {
  update(0, actor_);
  checksum_ += loops_.read(weights_ + actor_, critic_);
  update(actor_, critic_);
  checksum_ += loops_.read(weights_ + actor_, square_);
  checksum_ += loops_.read(weights_, square_);
}

void Bound::stream() {
  run_passes([this](std::size_t first, std::size_t count) {
    loops_.update(weights_ + first, second_ + first, count);
  });
}

void Bound::take_roots() {
  run_passes([this](std::size_t, std::size_t count) { checksum_ += loops_.take_roots(count); });
}

void Bound::measure(int repetitions) {
  const MonotonicClock clock;
  const auto time = [&](std::vector<std::int64_t>& samples_ns, const auto& work) {
    for (int i = 0; i < repetitions / 2; ++i) work();
    for (int i = 0; i < repetitions; ++i) {
      const std::int64_t begin_ns = clock.now_ns();
      work();
      samples_ns.push_back(clock.now_ns() - begin_ns);
    }
  };
  time(memory_ns_, [this] { stream(); });
  time(square_root_ns_, [this] { take_roots(); });
}

double Bound::memory_us() const {
  return median_us(memory_ns_);
}

double Bound::square_root_us() const {
  return median_us(square_root_ns_);
}

}  // namespace instep
