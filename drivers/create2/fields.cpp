#include "drivers/create2/fields.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "drivers/create2/codec.h"

namespace instep {
namespace {

constexpr std::array kModes = {"off", "passive", "safe", "full", "full (reports one more)"};
constexpr std::array kChargingStates = {"no", "reconditioning", "yes", "trickle", "waits", "fault"};
static_assert(kChargingStates.size() == static_cast<std::size_t>(Create2Charging::kFault) + 1);

constexpr std::array<PacketField, kCreate2Fields> kFields = {
    {{"mode", "", kModes},   {"charging", "", kChargingStates},
     {"battery", "%"},       {"left_turned", "m"},
     {"right_turned", "m"},  {"left_asked", "m/s"},
     {"right_asked", "m/s"}, {"bump_left", ""},
     {"bump_right", ""},     {"drop_left", ""},
     {"drop_right", ""},     {"cliff_l", ""},
     {"cliff_fl", ""},       {"cliff_fr", ""},
     {"cliff_r", ""},        {"light_l", ""},
     {"light_fl", ""},       {"light_cl", ""},
     {"light_cr", ""},       {"light_fr", ""},
     {"light_r", ""},        {"on_dock", ""}}};
static_assert(kFields.size() <= PacketFormat::kFieldsMax);

constexpr double kMetresPerCount = 1e-3 * kCreate2MmPerCount;

// Of the battery's capacity.
double battery_share(const Create2Readings& readings) {
  constexpr int kCapacityMahMax = 10'000;
  const int capacity = readings.capacity_mah;
  if (capacity == 0 || capacity > kCapacityMahMax || !is_create2_gauge_possible(readings)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return std::min(1.0, static_cast<double>(readings.charge_mah) / capacity);
}

bool decode(const Packet& packet, std::span<double> values) {
  Create2Readings readings;
  if (!decode_create2_frame(packet.view(), &readings)) return false;
  constexpr int kHomeBase = 2;
  const auto flag = [](bool is_on) { return is_on ? 1.0 : 0.0; };
  values[kCreate2FieldMode] = readings.mode;
  values[kCreate2FieldCharging] = readings.charging_state;
  values[kCreate2FieldBattery] = battery_share(readings);
  values[kCreate2FieldLeftTurned] = kMetresPerCount * readings.encoder_left;
  values[kCreate2FieldRightTurned] = kMetresPerCount * readings.encoder_right;
  values[kCreate2FieldLeftAsked] = 1e-3 * readings.requested_left_mm_s;
  values[kCreate2FieldRightAsked] = 1e-3 * readings.requested_right_mm_s;
  values[kCreate2FieldBumpLeft] = flag(readings.bump_left);
  values[kCreate2FieldBumpRight] = flag(readings.bump_right);
  values[kCreate2FieldDropLeft] = flag(readings.drop_left);
  values[kCreate2FieldDropRight] = flag(readings.drop_right);
  std::transform(readings.cliff.begin(), readings.cliff.end(),
                 values.begin() + kCreate2FieldCliffLeft, flag);
  std::copy(readings.light_bump.begin(), readings.light_bump.end(),
            values.begin() + kCreate2FieldLightLeft);
  values[kCreate2FieldOnDock] = flag((readings.charging_sources & kHomeBase) != 0);
  return true;
}

}  // namespace

const PacketFormat kCreate2Packets = {.fields = kFields, .decode = decode};

std::int16_t create2_counts(double turned_m) {
  return static_cast<std::int16_t>(std::lround(turned_m / kMetresPerCount));
}

std::int64_t create2_counts_max(std::int64_t elapsed_ns) {
  constexpr double kCountsPerNs = kCreate2SpeedMaxMmS / kCreate2MmPerCount * 1e-9;
  const double counts = static_cast<double>(elapsed_ns + kCreate2FramePeriodNs) * kCountsPerNs;
  return 2 + static_cast<std::int64_t>(std::min(counts, 65536.0));
}

}  // namespace instep
