// The drivers by name. Adding one is a folder and one line in registry.cpp; the commands, and the
// tests that walk all_drivers(), then know it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/driver_info.h"

namespace instep {

// One more, of a program outside this tree (runtime/table.h says when). Throws
// std::invalid_argument where its name is another's.
void add_driver(const DriverInfo& info);

// Every driver of this program, in the order in which they are listed to users.
std::span<const DriverInfo* const> all_drivers();

// The driver of that name, or null.
const DriverInfo* find_driver(std::string_view name);

// The drivers that a device of that name may have.
std::vector<const DriverInfo*> drivers_of_device(const std::string& device);

// The name of one channel. A device with channels of different kinds has a name for each, separated
// by commas; else one name is for all.
std::string channel_name(const std::string& device, int channel);
// The name of the place where the stop works.
std::string stop_name(const DriverInfo& driver, const std::string& device);

}  // namespace instep
