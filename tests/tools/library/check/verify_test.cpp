// The verify command on the golden files: passes them on every path, fails on any change of what
// they expect.

#include "tools/library/check/verify.h"

#include <gtest/gtest.h>

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
  for (const char* folder : {"/avg", "/mujoco"}) {
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
  const bool has_first_moments = config.at("beta1") > 0.0;
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
  for (const char* golden : {"combo_111", "iac_111", "first_step_terminal"}) {
    const std::string file = read_text(kGolden + "/avg/" + golden + ".safetensors");
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

TEST(Verify, NoticesAnEndOfAnEpisodeThatIsNotTheTasks) {
  if (!has_mujoco()) GTEST_SKIP() << "this build has no MuJoCo";
  const TemporaryFolder folder;
  const std::string path = folder / "changed.safetensors";
  std::string file = read_text(kGolden + "/mujoco/Hopper_0.safetensors");
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  const auto at = header.at("terminated").at("data_offsets").at(0).get<std::uint64_t>();
  file[8 + header_bytes + at] ^= 1;
  write_text(path, file);
  for (const VerifyResult& result : verify_file(path, {})) {
    EXPECT_FALSE(result.pass);
    EXPECT_EQ(result.tensor, "terminated");
    EXPECT_EQ(result.step, 0);
  }
}

TEST(Verify, JsonHasThePromisedKeys) {
  const CommandResult result =
      run_command({"verify", kGolden + "/avg/iac_000.safetensors", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const auto file = nlohmann::json::parse(result.last_line()).at("files").at(0);
  for (const char* key :
       {"file", "kind", "schedule", "backend", "path", "worst", "tensor", "step", "pass"}) {
    EXPECT_TRUE(file.contains(key)) << key;
  }
}

}  // namespace
}  // namespace instep
