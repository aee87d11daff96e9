#include "drivers/channel_simulation.h"

#include <array>

#include "drivers/far_end.h"

namespace instep {
namespace {

void set_plugged(DeviceSimulation& simulation, const Numbers& numbers, bool is_plugged);

constexpr std::array<SimulationWord, 2> kWords = {
    {{"unplug", " CHANNEL", 1, 1, 0, kChannelsMax,
      [](DeviceSimulation& s, const Numbers& n, std::int64_t) { set_plugged(s, n, false); }},
     {"plug", " CHANNEL", 1, 1, 0, kChannelsMax,
      [](DeviceSimulation& s, const Numbers& n, std::int64_t) { set_plugged(s, n, true); }}}};

class ChannelSimulation final : public DeviceSimulation {
 public:
  ChannelSimulation(const DriverInfo& driver, const SimulationOptions& options)
      : driver_(driver), device_(driver.make_simulator(options.seed)) {
    for (int i = 0; i < driver.channel_count; ++i) {
      add(driver.channels[static_cast<std::size_t>(i)], options);
    }
    if (driver.stop_channel < 0) add(driver.stop_connection, options);
  }

  std::string title() const override {
    std::string text = "a simulated " + std::string(driver_.summary) + " at ";
    for (const Channel& channel : channels_) {
      text += (&channel == channels_.data() ? "" : ", ") + channel.end->name();
    }
    return text;
  }
  std::span<const SimulationWord> words() const override { return kWords; }
  std::string status() const override {
    std::string text = device_->moves() ? "moves; channels:" : "stands; channels:";
    for (const Channel& channel : channels_) text += channel.is_open ? " open" : " closed";
    return text + '\n';
  }

  void add_events(std::vector<pollfd>& events) const override {
    for (const Channel& channel : channels_) {
      events.push_back({channel.end->descriptor(), POLLIN, 0});
    }
  }

  std::int64_t advance(std::span<const pollfd>, std::int64_t now_ns, std::string&) override {
    device_->advance(now_ns);
    for (std::size_t i = 0; i < channels_.size(); ++i) receive(i, now_ns);
    const std::int64_t next_ns = device_->advance(now_ns);
    for (std::size_t i = 0; i < channels_.size(); ++i) send(i);
    return next_ns;
  }

  void set_channel_plugged(std::size_t number, bool is_plugged) {
    if (number < channels_.size()) channels_[number].end->set_plugged(is_plugged);
  }

 private:
  struct Channel {
    std::unique_ptr<FarEnd> end;
    bool is_open = false;
  };

  void add(const DriverChannel& channel, const SimulationOptions& options) {
    channels_.push_back({channel.transport->make_far_end(options, channel.port)});
  }

  void receive(std::size_t number, std::int64_t now_ns) {
    Channel& channel = channels_[number];
    const bool has_client = channel.end->follow();
    const bool is_open = has_client && device_->open(static_cast<int>(number));
    if (channel.is_open && !is_open) device_->close(static_cast<int>(number));
    if (has_client && !is_open) channel.end->hang_up();
    channel.is_open = is_open;
    if (!is_open) return;
    std::array<std::uint8_t, 4096> bytes;
    const std::size_t count = channel.end->read(bytes);
    if (count > 0) device_->on_bytes(static_cast<int>(number), {bytes.data(), count}, now_ns);
    if (channel.end->has_client()) return;
    // The next one may come at once.
    device_->close(static_cast<int>(number));
    channel.is_open = false;
    channel.end->follow();
  }

  void send(std::size_t number) {
    std::array<std::uint8_t, 4096> bytes;
    for (std::size_t count = bytes.size(); channels_[number].is_open && count == bytes.size();) {
      count = device_->read(static_cast<int>(number), bytes);
      channels_[number].end->write({bytes.data(), count});
    }
  }

  const DriverInfo& driver_;
  std::unique_ptr<DeviceSimulator> device_;
  std::vector<Channel> channels_;
};

void set_plugged(DeviceSimulation& simulation, const Numbers& numbers, bool is_plugged) {
  static_cast<ChannelSimulation&>(simulation)
      .set_channel_plugged(static_cast<std::size_t>(numbers[0]), is_plugged);
}

}  // namespace

std::unique_ptr<DeviceSimulation> make_channel_simulation(const DriverInfo& driver,
                                                          const SimulationOptions& options) {
  return std::make_unique<ChannelSimulation>(driver, options);
}

}  // namespace instep
