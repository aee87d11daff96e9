// Stands in for mujoco_task.cpp in a build without MuJoCo.
#include "tasks/mujoco/mujoco_task.h"

namespace instep {

std::unique_ptr<MujocoTask> make_mujoco_task(std::string_view /*gymnasium_name*/) {
  return nullptr;
}

std::string_view mujoco_model_xml(std::string_view /*gymnasium_name*/) {
  return {};
}

}  // namespace instep
