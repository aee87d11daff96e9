// The extension module instep._instep: the learner of <instep/instep.h>, and the tasks on simulated
// time. What is said of it to users stands in docs/python.md.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "tasks/registry.h"
#include "tools/library/error.h"
#include "tools/library/instep.h"

namespace nb = nanobind;
using nb::literals::operator""_a;

namespace instep {
namespace {

using DoubleArray = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using FloatArray = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

[[noreturn]] void refuse(const std::string& text) {
  throw nb::value_error(text.c_str());
}

std::string shape_text(nb::handle array) {
  return nb::cast<std::string>(nb::str(nb::object(array.attr("shape"))));
}

// Anything else that NumPy takes for an array of real numbers, as one of float64.
DoubleArray converted(nb::handle values, const char* what) {
  const nb::module_ numpy = nb::module_::import_("numpy");
  const nb::object array = numpy.attr("asarray")(values);
  const auto kind = nb::cast<std::string>(nb::object(array.attr("dtype").attr("kind")));
  if (kind.find_first_of("fiub") == std::string::npos) {
    const std::string text = "instep: " + std::string(what) + " has dtype " +
                             nb::cast<std::string>(nb::str(nb::object(array.attr("dtype")))) +
                             "; it must hold real numbers";
    throw nb::type_error(text.c_str());
  }
  if (nb::cast<int>(nb::object(array.attr("ndim"))) != 1) {
    refuse("instep: " + std::string(what) + " has shape " + shape_text(array) +
           "; it must have one dimension");
  }
  return nb::cast<DoubleArray>(numpy.attr("ascontiguousarray")(array, "dtype"_a = "float64"));
}

// Overwrites `out` with the numbers of a list or an array [out.size()]. Throws TypeError or
// ValueError.
void read_vector(nb::handle values, const char* what, std::span<double> out) {
  const auto check = [&](std::size_t size) {
    if (size == out.size()) return;
    refuse("instep: " + std::string(what) + " has " + std::to_string(size) + " values, not " +
           std::to_string(out.size()));
  };
  DoubleArray doubles;
  if (FloatArray floats; nb::try_cast(values, floats, false)) {
    check(floats.size());
    std::copy_n(floats.data(), out.size(), out.begin());
  } else {
    if (!nb::try_cast(values, doubles, false)) doubles = converted(values, what);
    check(doubles.size());
    std::copy_n(doubles.data(), out.size(), out.begin());
  }
}

void check_finite(std::span<const double> values, const char* what) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    refuse("instep: " + std::string(what) + "[" + std::to_string(i) + "] is " +
           std::to_string(values[i]));
  }
}

// A new NumPy array with a copy of the numbers.
template <typename T>
nb::object new_array(std::span<const T> values) {
  auto copy = std::make_unique<T[]>(values.size());
  std::copy(values.begin(), values.end(), copy.get());
  T* const data = copy.get();
  const nb::capsule owner(copy.release(), [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(data, {values.size()}, owner));
}

bool read_bool(nb::handle value, const char* what) {
  if (value.is(nb::handle(Py_True))) return true;
  if (value.is(nb::handle(Py_False))) return false;
  const auto type = nb::cast<std::string>(nb::object(value.type().attr("__name__")));
  if (type == "bool" || type == "bool_") return nb::cast<bool>(value.attr("item")());  // NumPy's
  const std::string text =
      "instep: " + std::string(what) + " is of type " + type + "; it must be True or False";
  throw nb::type_error(text.c_str());
}

std::uint64_t read_seed(nb::handle seed) {
  const nb::object index = nb::steal(PyNumber_Index(seed.ptr()));
  if (!index.is_valid()) throw nb::python_error();
  const std::uint64_t value = PyLong_AsUnsignedLongLong(index.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    refuse("instep: seed must be 0 to 2^64 - 1");
  }
  return value;
}

// Held while one thread is inside an object; a second one is told so instead of racing.
class Turn {
 public:
  explicit Turn(std::atomic_flag& busy) : busy_(busy) {
    if (busy_.test_and_set(std::memory_order_acquire)) {
      throw std::runtime_error("instep: another thread is using this object; give each its own");
    }
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { busy_.clear(std::memory_order_release); }

 private:
  std::atomic_flag& busy_;
};

class PythonAgent {
 public:
  explicit PythonAgent(EmbeddedAgent agent)
      : agent_(std::move(agent)),
        observation_(static_cast<std::size_t>(agent_.observation_dim())),
        given_(observation_.size()),
        action_(static_cast<std::size_t>(agent_.action_dim())) {}

  nb::object act(nb::handle observation) {
    const Turn turn(busy_);
    read_vector(observation, "the observation", given_);
    if (next_ == Next::kBegin) {
      check_finite(given_, "the observation");
      take(agent_.begin(given_));
      if (next_ == Next::kBegin) {
        throw std::runtime_error(
            "instep: the policy's action is not finite: it has diverged, or it is new and the "
            "observation is all zeros, of which its layers make nothing");
      }
      observation_ = given_;
    } else if (given_ != observation_) {
      refuse(next_ == Next::kAct
                 ? "instep: act() was given another observation than learn()'s next_observation; "
                   "a new episode begins after terminated or truncated, or end_episode()"
                 : "instep: act() was called with a new observation before learn() was told what "
                   "followed the last one");
    }
    next_ = Next::kLearn;
    return new_array<float>(action_);
  }

  void learn(double reward, nb::handle terminated, nb::handle truncated, nb::handle observation) {
    const Turn turn(busy_);
    if (next_ != Next::kLearn) {
      throw std::runtime_error("instep: learn() was called before act()");
    }
    const bool has_terminated = read_bool(terminated, "terminated");
    const bool is_truncated = read_bool(truncated, "truncated");
    read_vector(observation, "next_observation", given_);
    observation_ = given_;
    const nb::gil_scoped_release released;
    next_ = Next::kBegin;
    take(agent_.step(observation_, reward, has_terminated, is_truncated));
  }

  void end_episode() {
    const Turn turn(busy_);
    agent_.end_episode();
    next_ = Next::kBegin;
  }

  void save(const std::string& folder) {
    const Turn turn(busy_);
    const nb::gil_scoped_release released;
    agent_.save(folder);
  }

  std::uint64_t steps() {
    const Turn turn(busy_);
    return agent_.steps();
  }
  std::uint64_t dropped_steps() {
    const Turn turn(busy_);
    return agent_.dropped_steps();
  }
  int observation_dim() const { return agent_.observation_dim(); }
  int action_dim() const { return agent_.action_dim(); }

 private:
  enum class Next { kBegin, kAct, kLearn };

  // Keeps the action that the learner answered; an empty one has closed the episode.
  void take(std::span<const float> action) {
    next_ = action.empty() ? Next::kBegin : Next::kAct;
    std::copy(action.begin(), action.end(), action_.begin());
  }

  EmbeddedAgent agent_;
  std::vector<double> observation_;  // that action_ answers
  std::vector<double> given_;
  std::vector<float> action_;
  Next next_ = Next::kBegin;
  std::atomic_flag busy_;
};

void make_agent(PythonAgent* self, int observation_dim, int action_dim, const std::string& algo,
                nb::handle seed, const std::string& task, const nb::kwargs& settings) {
  EmbeddedAgentOptions options;
  options.observation_dim = observation_dim;
  options.action_dim = action_dim;
  options.seed = read_seed(seed);
  options.algorithm = algo;
  options.task = task;
  for (const auto& [key, value] : settings) {
    options.settings.push_back(nb::cast<std::string>(key) + "=" +
                               nb::cast<std::string>(nb::str(nb::object(nb::borrow(value)))));
  }
  new (self) PythonAgent(EmbeddedAgent(options));
}

// A task on simulated time. The randomness of an episode's start is a function of the seed and the
// control steps made since, as it is in `instep train`.
class World {
 public:
  explicit World(const std::string& name) {
    const TaskInfo* const task = find_task(name);
    if (task == nullptr || task->make == nullptr) {
      refuse("instep: " +
             (task == nullptr ? "there is no task '" + name + "'" : std::string(task->missing)));
    }
    world_ = task->make();
    observation_.resize(static_cast<std::size_t>(task->observation_dim));
    given_.resize(static_cast<std::size_t>(task->action_dim));
    action_.resize(given_.size());
  }

  nb::object reset(nb::handle seed) {
    const Turn turn(busy_);
    if (!seed.is_none()) {
      random_ = Random{read_seed(seed), static_cast<std::uint32_t>(Stream::kTaskReset)};
      step_ = 0;
    } else if (is_fresh_) {
      ++step_;  // a second reset() without a step gives another start
    }
    world_->reset(random_, step_, observation_.data());
    is_fresh_ = true;
    is_over_ = false;
    return new_array<double>(observation_);
  }

  nb::tuple step(nb::handle action) {
    const Turn turn(busy_);
    if (is_over_) throw std::runtime_error("instep: the episode is over: call reset() first");
    read_vector(action, "the action", given_);
    check_finite(given_, "the action");
    std::transform(given_.begin(), given_.end(), action_.begin(),
                   [](double value) { return static_cast<float>(std::clamp(value, -1.0, 1.0)); });
    Outcome outcome;
    {
      const nb::gil_scoped_release released;
      outcome = world_->step(action_.data(), observation_.data());
    }
    ++step_;
    is_fresh_ = false;
    is_over_ = outcome.terminated || outcome.truncated || outcome.carries_no_step;
    if (outcome.carries_no_step) {
      throw std::runtime_error("instep: the simulated robot was held: call reset()");
    }
    return nb::make_tuple(new_array<double>(observation_), outcome.reward, outcome.terminated,
                          outcome.truncated);
  }

 private:
  std::unique_ptr<Environment> world_;
  std::vector<double> observation_;
  std::vector<double> given_;
  std::vector<float> action_;
  Random random_;
  std::uint64_t step_ = 0;
  bool is_fresh_ = false;
  bool is_over_ = true;
  std::atomic_flag busy_;
};

// (name, observation_dim, action_dim) of each task that this build can simulate.
nb::list tasks() {
  nb::list result;
  for (const TaskInfo& task : all_tasks()) {
    if (task.make == nullptr) continue;
    result.append(nb::make_tuple(std::string(task.name), task.observation_dim, task.action_dim));
  }
  return result;
}

void translate(const std::exception_ptr& thrown, void* /*unused*/) {
  try {
    std::rethrow_exception(thrown);
  } catch (const IoError& error) {
    PyErr_SetString(PyExc_OSError, error.what());
  } catch (const UsageError& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  }
}

void define(nb::module_& m) {
  nb::register_exception_translator(translate);
  nb::class_<PythonAgent>(m, "Agent",
                          "A learner: act(), then learn() from what followed (docs/python.md).")
      .def("__init__", make_agent, "observation_dim"_a, "action_dim"_a, "algo"_a = "avg",
           "seed"_a = 0, "task"_a = "", "settings"_a)
      .def("act", &PythonAgent::act, "observation"_a.none(),
           "The action for an observation, each in [-1, 1]: a new float32 array.")
      .def("learn", &PythonAgent::learn, "reward"_a, "terminated"_a.none(), "truncated"_a.none(),
           "next_observation"_a.none(), "Learns from what followed act()'s action.")
      .def("end_episode", &PythonAgent::end_episode,
           "Closes an open episode without learning from its last action.")
      .def("save", &PythonAgent::save, "folder"_a, "Writes config.toml and a checkpoint.")
      .def_static(
          "load",
          [](const std::string& folder) { return new PythonAgent(EmbeddedAgent::load(folder)); },
          nb::rv_policy::take_ownership, "folder"_a,
          "The agent that save() left in a folder; its next call is act().")
      .def_prop_ro("steps", &PythonAgent::steps)
      .def_prop_ro("dropped_steps", &PythonAgent::dropped_steps)
      .def_prop_ro("observation_dim", &PythonAgent::observation_dim)
      .def_prop_ro("action_dim", &PythonAgent::action_dim);
  nb::class_<World>(m, "World")
      .def(nb::init<const std::string&>(), "task"_a)
      .def("reset", &World::reset, "seed"_a.none())
      .def("step", &World::step, "action"_a.none());
  m.def("tasks", tasks);
}

}  // namespace
}  // namespace instep

NB_MODULE(_instep, m) {
  instep::define(m);
}
