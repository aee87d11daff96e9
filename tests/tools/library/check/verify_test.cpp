// The verify command on the golden files: passes them on every path, fails on any change of what
// they expect.

#include "tools/library/check/verify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "command.h"
#include "kernels/learner.h"
#include "tasks/registry.h"

namespace instep {
namespace {

const std::string kGolden = INSTEP_GOLDEN_DIR;

bool has_mujoco() {
  return find_task("hopper")->make != nullptr;
}

std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  for (const char* folder : {"/avg", "/rac", "/mujoco"}) {
    if (folder == std::string("/mujoco") && !has_mujoco()) continue;
    for (const auto& entry : std::filesystem::directory_iterator(kGolden + folder)) {
      if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    }
  }
  return files;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Adds `factor` times its tolerance (tol/NAME, or 1e-3 where there is none) to the first number of
// a tensor.
std::string with_changed_tensor(const std::string& file, const std::string& name, double factor) {
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  const auto place = [&](const std::string& tensor) {
    return 8 + header_bytes + header.at(tensor).at("data_offsets").at(0).get<std::uint64_t>();
  };
  double tolerance = 1e-3;
  if (header.contains("tol/" + name)) {
    std::memcpy(&tolerance, file.data() + place("tol/" + name), sizeof tolerance);
  }
  std::string changed = file;
  const std::uint64_t at = place(name);
  if (header.at(name).at("dtype") == "F32") {
    float value = 0.0F;
    std::memcpy(&value, changed.data() + at, sizeof value);
    value += static_cast<float>(factor * tolerance);
    std::memcpy(changed.data() + at, &value, sizeof value);
  } else {
    double value = 0.0;
    std::memcpy(&value, changed.data() + at, sizeof value);
    value += factor * tolerance;
    std::memcpy(changed.data() + at, &value, sizeof value);
  }
  return changed;
}

std::vector<std::string> expected_tensors(const std::string& file) {
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  // With a beta1 of 0 the first moment is the last gradient: no learner stores it.
  const auto config =
      nlohmann::json::parse(header.at("__metadata__").at("config").get<std::string>());
  const bool has_first_moments = config.value("beta1", 0.0) > 0.0;
  std::vector<std::string> names;
  for (const auto& [name, entry] : header.items()) {
    const bool is_first_moment = name.find("_m/") != std::string::npos;
    if (is_first_moment && !has_first_moments) continue;
    if (header.contains("tol/" + name)) names.push_back(name);
  }
  return names;
}

void expect_to_pass(const std::vector<std::string>& files, const VerifyOptions& options) {
  for (const std::string& file : files) {
    for (const VerifyResult& result : verify_file(file, options)) {
      EXPECT_TRUE(result.pass) << file << ' ' << result.path << ' ' << result.schedule << ' '
                               << result.worst << ' ' << result.tensor << ' ' << result.problem;
    }
  }
}

TEST(Verify, PassesEveryGoldenFileOnEveryPathAndArithmetic) {
  const std::vector<std::string> files = golden_files();
  ASSERT_GE(files.size(), 18U);
  for (const Arithmetic arithmetic : {Arithmetic::kFast, Arithmetic::kPortable}) {
    for (const Executor* executor : executors(arithmetic)) {
      VerifyOptions options;
      options.path = executor->path;
      options.arithmetic = arithmetic;
      expect_to_pass(files, options);
    }
  }
}

TEST(Verify, PassesEveryGoldenFileOnEveryEmulatedTeamOfAGpu) {
  std::vector<std::string> files = golden_files();
  std::erase_if(files, [](const std::string& file) { return file.find("/avg/") == file.npos; });
  ASSERT_GE(files.size(), 18U);
  for (const char* path : {"emulated_block", "emulated_grid4", "emulated_cluster8"}) {
    VerifyOptions options;
    options.backend = "cuda-emulated";
    options.path = path;
    expect_to_pass(files, options);
  }
}

TEST(Verify, NoticesAChangeOfAnyExpectedTensor) {
  const TemporaryFolder folder;
  for (const char* golden : {"/avg/combo_111", "/avg/iac_111", "/avg/first_step_terminal",
                             "/rac/rac_trace", "/rac/rac_no_trace"}) {
    const std::string file = read_text(kGolden + golden + ".safetensors");
    const std::vector<std::string> names = expected_tensors(file);
    ASSERT_GE(names.size(), 40U);
    for (const std::string& name : names) {
      const std::string path = folder / "changed.safetensors";
      write_text(path, with_changed_tensor(file, name, 3.0));
      for (const VerifyResult& result : verify_file(path, {})) {
        EXPECT_FALSE(result.pass) << golden << ": " << name;
      }
    }
  }
}

TEST(Verify, NoticesAChangeOfAnyRecordedStateOfATask) {
  if (!has_mujoco()) GTEST_SKIP() << "this build has no MuJoCo";
  const TemporaryFolder folder;
  const std::string file = read_text(kGolden + "/mujoco/Hopper_0.safetensors");
  for (const char* name : {"reset_obs", "obs", "reward", "qpos", "qvel"}) {
    const std::string path = folder / "changed.safetensors";
    write_text(path, with_changed_tensor(file, name, 1e-3));
    for (const VerifyResult& result : verify_file(path, {})) EXPECT_FALSE(result.pass) << name;
  }
}

TEST(Verify, CommandEndsWithOneAndAMessageOnADamagedFile) {
  const TemporaryFolder folder;
  const std::string good = kGolden + "/avg/combo_111.safetensors";
  const std::string file = read_text(good);
  const std::string huge_header(8, '\x7f');
  const std::vector<std::string> damaged = {"", "short", huge_header + file.substr(8),
                                            file.substr(0, file.size() / 2),
                                            std::string(5000, 'x')};
  for (const std::string& contents : damaged) {
    const std::string path = folder / "damaged.safetensors";
    write_text(path, contents);
    const CommandResult result = run_command({"verify", path, good, "--json"});
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_NE(result.error.find("damaged.safetensors"), std::string::npos) << result;
    const auto json = nlohmann::json::parse(result.last_line());
    EXPECT_EQ(json.at("pass"), false);
    EXPECT_EQ(json.at("files").at(0).at("pass"), false);
    EXPECT_EQ(json.at("files").back().at("pass"), true);
  }
}

// A safetensors file whose header has been edited; the data stand where they stood.
std::string with_header(const std::string& file, const std::function<void(nlohmann::json&)>& edit) {
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  edit(header);
  const std::string text = header.dump();
  const std::uint64_t text_bytes = text.size();
  std::string edited(sizeof text_bytes, '\0');
  std::memcpy(edited.data(), &text_bytes, sizeof text_bytes);
  return edited + text + file.substr(8 + header_bytes);
}

void edit_config(nlohmann::json& header, const char* key, const nlohmann::json& value) {
  auto config = nlohmann::json::parse(header.at("__metadata__").at("config").get<std::string>());
  config[key] = value;
  header["__metadata__"]["config"] = config.dump();
}

// Files that are whole but say what is not so: each is told, none ends the program otherwise.
TEST(Verify, RefusesFilesThatLie) {
  using Edit = std::function<void(nlohmann::json&)>;
  const std::vector<Edit> lies = {
      [](auto& header) { header["out/mu"] = header["out/x"]; },  // rows of another width
      [](auto& header) { header["out/delta"] = header["out/x"]; },
      [](auto& header) { header["in/obs0"] = header["in/reward"]; },
      [](auto& header) { header["init/actor/w1"] = header["init/actor/w2"]; },
      [](auto& header) { header["final/norm_mean"] = header["out/x"]; },
      [](auto& header) {
        header["out/q"]["shape"] = {1ULL << 62, 16};
      },
      [](auto& header) {
        header["out/q"]["data_offsets"] = {0, 1ULL << 60};
      },
      [](auto& header) {
        header["out/q"]["data_offsets"] = {800, 0};
      },
      [](auto& header) { header["out/q"]["dtype"] = "BF16"; },
      [](auto& header) { header["out/q"] = 3; },
      [](auto& header) { header.erase("in/eps_next"); },
      [](auto& header) { header.erase("in/reset_obs"); },
      [](auto& header) { header.erase("tol/out/q"); },
      [](auto& header) { header.erase("init/critic/w_o"); },
      [](auto& header) { header.erase("__metadata__"); },
      [](auto& header) { header["__metadata__"]["format"] = "avg-golden-2"; },
      [](auto& header) { header["__metadata__"]["config"] = "3"; },
      [](auto& header) { header["__metadata__"]["config"] = "{"; },
      [](auto& header) { edit_config(header, "steps", 101); },
      [](auto& header) { edit_config(header, "steps", 0); },
      [](auto& header) { edit_config(header, "steps", "many"); },
      [](auto& header) { edit_config(header, "n", 1'000'000); },
      [](auto& header) { edit_config(header, "n", -4); },
      [](auto& header) { edit_config(header, "hidden", 18); },
      [](auto& header) { edit_config(header, "algo", "sac"); },
      [](auto& header) { edit_config(header, "algo", 1); },
      [](auto& header) { edit_config(header, "checkpoints", "all"); },
      [](auto& header) { edit_config(header, "gamma", nullptr); },
      [](auto& header) {  // nothing is left that could be compared
        for (auto it = header.begin(); it != header.end();) {
          it = header.contains("tol/" + it.key()) ? header.erase(it) : std::next(it);
        }
      },
  };
  const TemporaryFolder folder;
  const std::string file = read_text(kGolden + "/avg/combo_111.safetensors");
  const std::string path = folder / "lying.safetensors";
  for (std::size_t i = 0; i < lies.size(); ++i) {
    write_text(path, with_header(file, lies[i]));
    const std::vector<VerifyResult> results = verify_file(path, {});
    ASSERT_FALSE(results.empty()) << i;
    for (const VerifyResult& result : results) {
      EXPECT_FALSE(result.pass) << i;
      EXPECT_NE(result.problem, "") << i;
    }
  }
}

// What is not finite in a file is no reason to end otherwise either.
TEST(Verify, RefusesInputsThatAreNotFinite) {
  const TemporaryFolder folder;
  const std::string path = folder / "nan.safetensors";
  const std::string file = read_text(kGolden + "/avg/combo_111.safetensors");
  for (const char* name :
       {"in/obs0", "in/next_obs", "in/reset_obs", "in/reward", "in/eps", "in/eps_next",
        "init/actor/w1", "init/critic/w2", "out/q", "tol/out/q"}) {
    write_text(path, with_changed_tensor(file, name, std::numeric_limits<double>::quiet_NaN()));
    for (const VerifyResult& result : verify_file(path, {})) EXPECT_FALSE(result.pass) << name;
  }
  if (!has_mujoco()) return;
  const std::string robot = read_text(kGolden + "/mujoco/Hopper_0.safetensors");
  for (const char* name : {"action", "reset_qpos", "reset_qvel", "obs"}) {
    write_text(path, with_changed_tensor(robot, name, std::numeric_limits<double>::quiet_NaN()));
    for (const VerifyResult& result : verify_file(path, {})) EXPECT_FALSE(result.pass) << name;
  }
}

// Flips the flag `terminated` of one step.
std::string with_other_end(std::string file, std::size_t step) {
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  const auto at = header.at("terminated").at("data_offsets").at(0).get<std::uint64_t>();
  file[8 + header_bytes + at + step] ^= 1;
  return file;
}

TEST(Verify, NoticesAnEndOfAnEpisodeThatIsNotTheTasks) {
  if (!has_mujoco()) GTEST_SKIP() << "this build has no MuJoCo";
  const TemporaryFolder folder;
  const std::string path = folder / "changed.safetensors";
  const std::string file = read_text(kGolden + "/mujoco/Hopper_0.safetensors");
  write_text(path, with_other_end(file, 199));  // the last step: no episode begins after it
  for (const VerifyResult& result : verify_file(path, {})) {
    EXPECT_FALSE(result.pass);
    EXPECT_EQ(result.tensor, "terminated");
    EXPECT_EQ(result.step, 199);
  }
  write_text(path, with_other_end(file, 0));  // and no episode begins at step 1
  for (const VerifyResult& result : verify_file(path, {})) {
    EXPECT_FALSE(result.pass);
    EXPECT_NE(result.problem.find("episode_start"), std::string::npos) << result.problem;
  }
}

// One result, a failure that compared nothing and says why with that word.
void expect_refused(const std::string& contents, const std::string& word, const std::string& what) {
  const TemporaryFolder folder;
  const std::string path = folder / "mutilated.safetensors";
  write_text(path, contents);
  const std::vector<VerifyResult> results = verify_file(path, {});
  ASSERT_EQ(results.size(), 1U) << what;
  EXPECT_FALSE(results[0].pass) << what;
  EXPECT_FALSE(results[0].was_compared()) << what;
  EXPECT_EQ(results[0].compared, 0) << what;
  EXPECT_NE(results[0].problem.find(word), std::string::npos) << what << ": " << results[0].problem;
}

std::vector<std::string> all_tensors(const std::string& file) {
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  std::vector<std::string> names;
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") names.push_back(name);
  }
  return names;
}

// A file that lacks one tensor of what algorithm and settings imply shows less than it says.
TEST(Verify, DemandsEveryTensorThatTheConfigurationImplies) {
  std::vector<std::string> files = {"/avg/combo_111", "/avg/iac_011", "/avg/combo_000"};
  if (has_mujoco()) files.push_back("/mujoco/Ant_0");
  for (const std::string& golden : files) {
    const std::string file = read_text(kGolden + golden + ".safetensors");
    int demanded = 0;
    for (const std::string& name : all_tensors(file)) {
      expect_refused(with_header(file, [&](auto& header) { header.erase(name); }), name,
                     golden + " without " + name);
      ++demanded;
    }
    EXPECT_GE(demanded, 10) << golden;
  }
}

TEST(Verify, RefusesAFileWithAlmostNothingInIt) {
  const std::string file = read_text(kGolden + "/avg/combo_111.safetensors");
  expect_refused(with_header(file,
                             [](auto& header) {
                               for (auto it = header.begin(); it != header.end();) {
                                 const std::string& name = it.key();
                                 const bool is_cut = name.find("out/") != name.npos ||
                                                     name.find("grad1/") != name.npos ||
                                                     name.find("final/actor") != name.npos;
                                 it = is_cut ? header.erase(it) : std::next(it);
                               }
                             }),
                 "lacks 112 of the tensors", "without what was computed");
}

// What a test of refused files changes in a header, and a word of the answer.
struct Mutilation {
  const char* word;
  std::function<void(nlohmann::json&)> edit;
};

void rename_tensor(nlohmann::json& header, const char* from, const char* to) {
  header[to] = header[from];
  header.erase(from);
}

TEST(Verify, RefusesNamesShapesAndCountsThatDoNotFitTheConfiguration) {
  const std::vector<Mutilation> mutilations = {
      {"out/q", [](auto& header) { rename_tensor(header, "out/q", "out/q_value"); }},
      {"share", [](auto& header) { header["out/q_value"] = header["out/q"]; }},
      {"ckpt/50/actor/b1",
       [](auto& header) { rename_tensor(header, "ckpt/50/actor/b1", "ckpt/2/actor/b1"); }},
      {"init/critic/w1",
       [](auto& header) {
         header["init/critic/w1"]["shape"] = {5, 16};
       }},
      {"final/scale",
       [](auto& header) {
         header["final/scale"]["shape"] = {3, 4};
       }},
      {"in/next_obs",
       [](auto& header) {
         header["in/next_obs"]["shape"] = {4, 100};
       }},
      {"share", [](auto& header) { header["tol/out/q"] = header["tol/final/G"]; }},
      {"tol/out/q", [](auto& header) { std::swap(header["tol/out/q"], header["tol/final/G"]); }},
      {"in/reset_obs",
       [](auto& header) {
         header["in/reset_obs"]["shape"] = {2, 8};
       }},
      {"in/terminated", [](auto& header) { edit_config(header, "steps", 99); }},
      {"steps", [](auto& header) { edit_config(header, "steps", 100.5); }},
      {"steps", [](auto& header) { edit_config(header, "steps", -100); }},
      {"hidden", [](auto& header) { edit_config(header, "hidden", 16.25); }},
      {"checkpoints", [](auto& header) { edit_config(header, "checkpoints", nullptr); }},
      {"checkpoints",
       [](auto& header) {
         edit_config(header, "checkpoints", {1, 50, 101});
       }},
      {"checkpoints",
       [](auto& header) {
         edit_config(header, "checkpoints", {0, 1, 50});
       }},
      {"checkpoints",
       [](auto& header) {
         edit_config(header, "checkpoints", {1, 50, 50});
       }},
      {"ckpt/60/",
       [](auto& header) {
         edit_config(header, "checkpoints", {1, 50, 60});
       }},
      {"ckpt/50/", [](auto& header) { edit_config(header, "checkpoints", {1}); }},
      {"final/norm", [](auto& header) { edit_config(header, "obs_norm", false); }},
      {"out/next_action", [](auto& header) { edit_config(header, "algo", "iac"); }},
  };
  const std::string file = read_text(kGolden + "/avg/combo_111.safetensors");
  for (std::size_t i = 0; i < mutilations.size(); ++i) {
    expect_refused(with_header(file, mutilations[i].edit), mutilations[i].word,
                   "mutilation " + std::to_string(i));
  }
  if (!has_mujoco()) return;
  const std::vector<Mutilation> of_tasks = {
      {"reward", [](auto& header) { rename_tensor(header, "reward", "rewards"); }},
      {"obs",
       [](auto& header) {
         header["obs"]["shape"] = {11, 200};
       }},
      {"episode_start",
       [](auto& header) {
         header["episode_start"]["shape"] = {1, 1};
       }},
      {"steps", [](auto& header) { edit_config(header, "steps", 0); }},
      {"shape", [](auto& header) { edit_config(header, "steps", 100); }},
      {"dt", [](auto& header) { edit_config(header, "dt", 0.01); }},
      {"Hoppper", [](auto& header) { edit_config(header, "task", "Hoppper"); }},
      {"", [](auto& header) { edit_config(header, "task", "Walker2d"); }},
  };
  const std::string robot = read_text(kGolden + "/mujoco/Hopper_0.safetensors");
  for (std::size_t i = 0; i < of_tasks.size(); ++i) {
    expect_refused(with_header(robot, of_tasks[i].edit), of_tasks[i].word,
                   "task mutilation " + std::to_string(i));
  }
}

// Sets the first number of a tensor of doubles.
std::string with_number(std::string file, const std::string& name, double value) {
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  const auto at = header.at(name).at("data_offsets").at(0).get<std::uint64_t>();
  std::memcpy(file.data() + 8 + header_bytes + at, &value, sizeof value);
  return file;
}

// Tolerances that would let anything pass, or nothing; and truth that is no number.
TEST(Verify, RefusesTolerancesAndNumbersThatShowNothing) {
  const std::string file = read_text(kGolden + "/avg/combo_111.safetensors");
  const double infinity = std::numeric_limits<double>::infinity();
  for (const char* name : {"tol/out/q", "tol/final/actor/w1", "tol/grad1/critic/b_o"}) {
    for (const double tolerance : {0.0, -1.0, 1e3, infinity, -infinity, std::nan("")}) {
      expect_refused(with_number(file, name, tolerance), name, std::to_string(tolerance));
    }
  }
  for (const char* name : {"out/q", "out/sigma", "ckpt/1/actor/w1", "final/G", "in/eps"}) {
    for (const double value : {std::nan(""), infinity, -infinity}) {
      expect_refused(with_number(file, name, value), name, std::to_string(value));
    }
  }
}

// The same numbers in another type or shape, none at all, and bytes that no tensor names.
TEST(Verify, RefusesWhatIsNotExactlyAsTheConfigurationImplies) {
  using Edit = std::function<void(nlohmann::json&)>;
  const std::vector<std::pair<const char*, Edit>> edits = {
      {"out/q", [](auto& header) { header["out/q"]["dtype"] = "I64"; }},
      {"in/terminated",
       [](auto& header) {
         header["in/terminated"]["shape"] = {100, 1};
       }},
      {"out/q", [](auto& header) { header["out/q"]["shape"] = {100}; }},
      {"tol/final/G",
       [](auto& header) { header["tol/final/G"]["shape"] = nlohmann::json::array(); }},
      {"out/q",
       [](auto& header) {
         header["out/q"]["shape"] = {0, 1};
         header["out/q"]["data_offsets"] = {0, 0};
       }},
      {"data_offsets",
       [](auto& header) {
         header["out/q"]["data_offsets"].push_back(header["out/q"]["shape"][0]);
       }},
      {"final/actor_m",
       [](auto& header) {
         for (const char* array : {"w1", "b1", "w2", "b2", "w_mu", "b_mu", "w_l", "b_l"}) {
           header.erase(std::string("final/actor_m/") + array);
           header.erase(std::string("tol/final/actor_m/") + array);
         }
       }},
  };
  const std::string file = read_text(kGolden + "/avg/combo_000.safetensors");
  for (std::size_t i = 0; i < edits.size(); ++i) {
    expect_refused(with_header(file, edits[i].second), edits[i].first, "edit " + std::to_string(i));
  }
  for (const char* golden : {"/avg/combo_000", "/avg/iac_011", "/mujoco/Ant_0"}) {
    if (golden[1] == 'm' && !has_mujoco()) continue;
    const std::string whole = read_text(kGolden + golden + ".safetensors");
    expect_refused(whole + '\0', "bytes that belong to none of its tensors: 1;", "a byte appended");
    expect_refused(whole + whole, "bytes that belong to none", "twice");
  }
}

// JSON's parser would silently keep the last of two.
TEST(Verify, RefusesAHeaderThatNamesATensorTwice) {
  std::string file = read_text(kGolden + "/avg/combo_111.safetensors");
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  std::string header = file.substr(8, header_bytes);
  const std::string twice = "\"out/q\":" + nlohmann::json::parse(header).at("out/mu").dump() + ",";
  header.insert(1, twice);
  header_bytes = header.size();
  std::string edited(sizeof header_bytes, '\0');
  std::memcpy(edited.data(), &header_bytes, sizeof header_bytes);
  expect_refused(edited + header + file.substr(8 + header_bytes - twice.size()), "twice", "twice");
}

TEST(Verify, SaysHowManyNumbersItCompared) {
  const CommandResult result =
      run_command({"verify", kGolden + "/avg/iac_000.safetensors", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const auto json = nlohmann::json::parse(result.last_line());
  EXPECT_EQ(json.at("compared"), json.at("files").at(0).at("compared"));
  const auto compared = json.at("compared").get<std::int64_t>();
  EXPECT_EQ(compared, 7888);  // counted from the shapes in the file's header
  EXPECT_NE(result.error.find(std::to_string(compared) + " numbers"), std::string::npos) << result;
}

TEST(Verify, JsonHasThePromisedKeys) {
  const CommandResult result =
      run_command({"verify", kGolden + "/avg/iac_000.safetensors", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const auto file = nlohmann::json::parse(result.last_line()).at("files").at(0);
  for (const char* key : {"file", "kind", "schedule", "backend", "path", "worst", "tensor", "step",
                          "compared", "pass"}) {
    EXPECT_TRUE(file.contains(key)) << key;
  }
}

}  // namespace
}  // namespace instep
