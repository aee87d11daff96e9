#include "tools/library/measure/bound.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "runtime/clock.h"

namespace instep {
namespace {

double median_us(std::vector<std::int64_t> samples_ns) {
  const auto middle = samples_ns.begin() + static_cast<std::ptrdiff_t>(samples_ns.size() / 2);
  std::nth_element(samples_ns.begin(), middle, samples_ns.end());
  return static_cast<double>(*middle) / 1e3;
}

}  // namespace

Bound::Bound(LeastWork work) : work_(std::move(work)) {
  storage_.assign(2 * work_.floats + 16, 1.0F);
  const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
  weights_ = storage_.data() + (64 - address % 64) % 64 / sizeof(float);
  second_ = weights_ + work_.floats;
}

template <typename Update>
void Bound::run_passes(const Update& update) {
  for (const LeastWork::Pass& pass : work_.passes) {
    if (pass.is_update) {
      update(pass.first, pass.count);
    } else {
      checksum_ += work_.loops->read(weights_ + pass.first, pass.count);
    }
  }
}

void Bound::stream() {
  run_passes([this](std::size_t first, std::size_t count) {
    work_.loops->update(weights_ + first, second_ + first, count);
  });
}

void Bound::take_roots() {
  run_passes(
      [this](std::size_t, std::size_t count) { checksum_ += work_.loops->take_roots(count); });
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
