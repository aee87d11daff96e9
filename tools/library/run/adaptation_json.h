// adaptation.json: its one writer and its one reader.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/library/run/adaptation.h"

namespace instep {

nlohmann::json to_json(const Adaptation& adaptation);
// Throws DataError naming what is not as it must be.
Adaptation adaptation_from_json(const nlohmann::json& json);

}  // namespace instep
