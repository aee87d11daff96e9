// The URScript that the simulated controller interprets, and how it refuses what it does not.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "drivers/ur/controller.h"

namespace instep {
namespace {

class UrScriptTest : public testing::Test {
 protected:
  UrScriptTest() { controller_->make_ready(); }

  // The lines that the controller logs while it runs a program for some ticks.
  std::string run(const std::string& text, int ticks = 20) {
    std::int64_t from = controller_->log_count();
    controller_->run_script(text);
    std::string all;
    for (int i = 0; i < ticks; ++i) {
      controller_->tick();
      for (; from < controller_->log_count(); ++from) {
        all += std::string(controller_->log_line(from).text.data()) + "\n";
      }
    }
    return all;
  }
  // What textmsg() says of an expression.
  std::string value(const std::string& expression) {
    std::string all = run("textmsg(" + expression + ")\n", 2);
    return all.substr(0, all.find('\n'));
  }
  std::int32_t output(int number) const {
    return controller_->registers().output_ints[static_cast<std::size_t>(number)];
  }

  std::unique_ptr<UrController> controller_ = std::make_unique<UrController>();
};

TEST_F(UrScriptTest, Calculates) {
  EXPECT_EQ(value("1 + 2 * 3"), "7");
  EXPECT_EQ(value("(1 + 2) * 3"), "9");
  EXPECT_EQ(value("7 % 4 - 1 / 2"), "2.5");
  EXPECT_EQ(value("-2 * -3"), "6");
  EXPECT_EQ(value("1 - 2 - 3"), "-4");
  EXPECT_EQ(value("2.5e2"), "250");
  EXPECT_EQ(value(".5"), "0.5");
  EXPECT_EQ(value("1 + 2 == 3 and not 4 < 3"), "True");
  EXPECT_EQ(value("True xor True or False"), "False");
  EXPECT_EQ(value("not (1 != 1) and 2 >= 2"), "True");
  EXPECT_EQ(value("\"text\""), "text");
  EXPECT_EQ(value("\"a\", 5"), "a5");
  EXPECT_EQ(value("[1, 2.5, -3]"), "[1, 2.5, -3]");
  EXPECT_EQ(value("p[1, 2, 3, 0, 0, 0]"), "p[1, 2, 3, 0, 0, 0]");
  EXPECT_EQ(value("[10, 20, 30][1 + 1]"), "30");
  EXPECT_EQ(value("sqrt(pow(3, 2) + pow(4.0, 2))"), "5");
  EXPECT_EQ(value("norm([3, 4, 0])"), "5");
  EXPECT_EQ(value("floor(-1.5) + ceil(1.2) + round(2.5)"), "3");
  EXPECT_EQ(value("length([1, 2, 3])"), "3");
  EXPECT_EQ(value("pose_trans(p[1,0,0,0,0,0], p[0,2,0,0,0,0])"), "p[1, 2, 0, 0, 0, 0]");
  EXPECT_EQ(value("pose_sub(p[1,2,3,0,0,0.5], p[1,1,1,0,0,0.25])"), "p[0, 1, 2, 0, 0, 0.25]");
  EXPECT_EQ(value("pose_add(p[1,2,3,0,0,0.5], p[1,1,1,0,0,0.25])"), "p[2, 3, 4, 0, 0, 0.75]");
  EXPECT_EQ(value("2000000000 + 2000000000"), "4e+09");
  EXPECT_EQ(value("get_steptime()"), "0.008");
}

TEST_F(UrScriptTest, BranchesLoopsAndCallsFunctions) {
  EXPECT_EQ(run("def program():\n"
                "  def twice(x):\n"
                "    return 2 * x\n"
                "  end\n"
                "  i = 0\n"
                "  while True:\n"
                "    i = i + 1\n"
                "    if i == 3:\n"
                "      continue\n"
                "    elif i > 5:\n"
                "      break\n"
                "    else:\n"
                "      textmsg(\"i \", twice(i))\n"
                "    end\n"
                "  end\n"
                "  textmsg(\"done\")\n"
                "end\n"),
            "the program program has started\ni 2\ni 4\ni 8\ni 10\ndone\n"
            "the program program has ended\n");
}

TEST_F(UrScriptTest, KnowsGlobalAndLocalVariables) {
  EXPECT_EQ(run("def program():\n"
                "  global count = 1\n"
                "  seen = 10\n"
                "  def change(seen):\n"
                "    count = count + 1\n"
                "    local own = seen + 1\n"
                "    seen = own\n"
                "    return seen\n"
                "  end\n"
                "  textmsg(change(100))\n"
                "  textmsg(seen)\n"
                "  textmsg(count)\n"
                "  a = [1, 2, 3]\n"
                "  a[1] = a[2] + seen\n"
                "  textmsg(a)\n"
                "end\n"),
            "the program program has started\n101\n10\n2\n[1, 13, 3]\n"
            "the program program has ended\n");
}

TEST_F(UrScriptTest, RunsThreadsThatTakeTurns) {
  EXPECT_EQ(run("def program():\n"
                "  global n = 0\n"
                "  thread counter(step):\n"
                "    while True:\n"
                "      n = n + step\n"
                "      sync()\n"
                "    end\n"
                "  end\n"
                "  t = run counter(10)\n"
                "  sleep(0.04)\n"
                "  kill t\n"
                "  textmsg(n)\n"
                "  sync()\n"
                "  textmsg(n)\n"
                "  t = run counter(1)\n"
                "  t = 0\n"
                "  if t == 0:\n"
                "    textmsg(\"no thread\")\n"
                "  end\n"
                "end\n"),
            "the program program has started\n50\n50\nno thread\nthe program program has ended\n");
}

TEST_F(UrScriptTest, WaitsForThreads) {
  EXPECT_EQ(run("def program():\n"
                "  thread slow():\n"
                "    sleep(0.05)\n"
                "    textmsg(\"slow\")\n"
                "  end\n"
                "  t = run slow()\n"
                "  join t\n"
                "  textmsg(\"main\")\n"
                "end\n"),
            "the program program has started\nslow\nmain\nthe program program has ended\n");
}

// As ur_rtde sends it: values have slipped into the next line.
TEST_F(UrScriptTest, LinesDoNotEndStatements) {
  EXPECT_EQ(run("def program():\n"
                "  global a = # offset\n"
                "0    global b = # offset\n"
                "7    global c = 2\n"
                "0    global c = 3\n"
                "  textmsg([a,\n b,\n c])\n"
                "end\n"),
            "the program program has started\n[0, 7, 3]\nthe program program has ended\n");
}

TEST_F(UrScriptTest, ReadsAndWritesRegisters) {
  run("def program():\n"
      "  write_output_integer_register(24, read_input_integer_register(25) + 5)\n"
      "  write_output_float_register(30, 0.25)\n"
      "  write_output_boolean_register(70, True)\n"
      "end\n");
  EXPECT_EQ(output(24), 5);
  EXPECT_EQ(controller_->registers().output_doubles[30], 0.25);
  EXPECT_EQ(controller_->registers().output_bits[1], 1U << 6);
}

// Symptom: a loop path without sync() and the arm drifts on.
TEST_F(UrScriptTest, ProgramUsedTooMuchTimeWithoutInstructingTheRobot) {
  const std::string all =
      run("def program():\n  speedj([0.3,0,0,0,0,0], 1.4, 0.04)\n  while True:\n    a = 1\n  "
          "end\nend\n",
          60);
  EXPECT_NE(all.find("used too much time without instructing the robot"), std::string::npos) << all;
  EXPECT_EQ(controller_->runtime(), UrRuntime::kStopped);
  EXPECT_FALSE(ur_moves(controller_->arm()));
}

TEST_F(UrScriptTest, MovesOneCommandATick) {
  run("def program():\n"
      "  while True:\n"
      "    speedj([0, 0, 0.2, 0, 0, 0], 1.4, get_steptime())\n"
      "    write_output_integer_register(24, read_output_integer_register(24) + 1)\n"
      "  end\n"
      "end\n",
      50);
  EXPECT_NEAR(controller_->arm().target_qd[2], 0.2, 1e-12);
  EXPECT_EQ(output(24), 49);
  controller_->stop_program("the test");
  for (int i = 0; i < 30; ++i) controller_->tick();
  EXPECT_FALSE(ur_moves(controller_->arm()));
}

// As urx and older drivers write it.
TEST_F(UrScriptTest, KnowsTheOldNameOfSpeedjsTime) {
  run("speedj([0, 0, 0.2, 0, 0, 0], a=1.4, t_min=0.4)\n", 40);
  EXPECT_NEAR(controller_->arm().target_qd[2], 0.2, 1e-12);
}

TEST_F(UrScriptTest, ASecondThreadMayNotMoveAtTheSameTime) {
  const std::string all =
      run("def program():\n"
          "  thread other():\n"
          "    stopj(1)\n"
          "  end\n"
          "  run other()\n"
          "  movej([0,0,0,0,0,0])\n"
          "end\n");
  EXPECT_NE(all.find("another thread is already controlling the robot"), std::string::npos) << all;
}

TEST_F(UrScriptTest, SecondaryProgramsRunBesideAndDoNotMove) {
  controller_->run_script("def program():\n  while True:\n    sync()\n  end\nend\n");
  run("sec beside():\n  write_output_integer_register(25, 3)\nend\n");
  EXPECT_EQ(output(25), 3);
  EXPECT_EQ(controller_->runtime(), UrRuntime::kPlaying);
  const std::string all = run("sec moving():\n  stopj(1)\nend\n");
  EXPECT_NE(all.find("may not move"), std::string::npos) << all;
  EXPECT_EQ(controller_->runtime(), UrRuntime::kPlaying);
}

TEST_F(UrScriptTest, ANewProgramReplacesTheOneThatRuns) {
  controller_->run_script("def first():\n  while True:\n    sync()\n  end\nend\n");
  controller_->tick();
  EXPECT_EQ(controller_->program_name(), "first");
  controller_->run_script("def second():\n  while True:\n    sync()\n  end\nend\n");
  controller_->tick();
  EXPECT_EQ(controller_->program_name(), "second");
  EXPECT_EQ(controller_->counters().programs, 2);
}

TEST_F(UrScriptTest, RefusesWhatItDoesNotKnowInTheControllersWords) {
  const auto refusal = [this](const std::string& text) {
    const std::string all = run(text, 1);
    EXPECT_EQ(controller_->runtime(), UrRuntime::kStopped);
    return all.substr(0, all.find('\n'));
  };
  EXPECT_EQ(refusal("no_such_function(1)\n"),
            "compile_error_name_not_found:no_such_function (line 1)");
  EXPECT_EQ(refusal("def a():\n  x = y + 1\nend\n"), "compile_error_name_not_found:y (line 2)");
  EXPECT_EQ(refusal("def a():\n  movej([0,0,0,0,0,0], b=1)\nend\n"),
            "compile_error_name_not_found:b (line 2)");
  EXPECT_EQ(refusal("def a():\n  speedj()\nend\n"),
            "compile_error_wrong_number_of_arguments:speedj (line 2)");
  EXPECT_EQ(refusal("def a():\n  x = (1 + \nend\n"), "syntax_error_on_line:3:end (line 3)");
  EXPECT_EQ(refusal("def a():\n  x = @\nend\n"), "syntax_error_on_line:2:@ (line 2)");
  EXPECT_EQ(refusal("def a():\n  while True:\n    sync()\n  end\n"),
            "syntax_error_on_line:5:unexpected end (line 5)");
  EXPECT_EQ(refusal("end\n"), "syntax_error_on_line:1:end (line 1)");
  EXPECT_EQ(refusal("break\n"), "syntax_error_on_line:1:break (line 1)");
  EXPECT_EQ(refusal("x = \"open\n"), "syntax_error_on_line:1:\" (line 1)");
  EXPECT_EQ(refusal("p[1, 2, 3]\n"), "syntax_error_on_line:1:unexpected end (line 1)");
  EXPECT_EQ(controller_->counters().programs_refused, 11);
}

TEST_F(UrScriptTest, FindsTheJointsOfAPoseAndMovesThere) {
  const std::string all = run(
      "def a():\n  q = [0.1, -1.5, 1.2, -0.4, 0.3, 0.2]\n  set_tcp(p[0, 0, 0.1, 0, 0, 0])\n"
      "  x = get_forward_kin(q)\n  found = get_inverse_kin(x, qnear=[0, -1.4, 1.3, -0.3, 0.2, 0])\n"
      "  textmsg(norm(found[0] - q[0]) + norm(found[3] - q[3]) < 0.000001)\n"
      "  textmsg(get_inverse_kin_has_solution(p[2, 0, 0, 0, 0, 0]))\n"
      "  movej(q)\n  movej(get_forward_kin([0.2, -1.6, 1.3, -0.5, 0.4, 0.3]))\n"
      "  get_inverse_kin(p[2, 0, 0, 0, 0, 0])\nend\n",
      1500);
  EXPECT_NE(all.find("True"), std::string::npos) << all;
  EXPECT_NE(all.find("False"), std::string::npos) << all;
  EXPECT_NE(all.find("get_inverse_kin: the pose is out of reach"), std::string::npos) << all;
  const UrVector wanted = {0.2, -1.6, 1.3, -0.5, 0.4, 0.3};
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(controller_->arm().target_q[i], wanted[i], 1e-6) << i;
  }
}

TEST_F(UrScriptTest, NamesTheFunctionThatIsNotSimulatedWhenItIsCalled) {
  const std::string all =
      run("def a():\n  if False:\n    movel(p[0,0,0,0,0,0], a=1.2, v=0.25)\n  end\n"
          "  speedl([0,0,0.1,0,0,0], 0.5, t=1)\nend\n");
  EXPECT_NE(all.find("runtime error in line 5: this simulator does not have the function: speedl"),
            std::string::npos)
      << all;
}

TEST_F(UrScriptTest, RuntimeErrorsEndTheProgram) {
  const auto error = [this](const std::string& text) {
    const std::string all = run("def a():\n" + text + "\nend\n");
    EXPECT_EQ(controller_->runtime(), UrRuntime::kStopped) << text;
    return all.find("runtime error in line") != std::string::npos;
  };
  EXPECT_TRUE(error("x = 1 / 0"));
  EXPECT_TRUE(error("x = 1 % 0"));
  EXPECT_TRUE(error("x = [1, 2][2]"));
  EXPECT_TRUE(error("x = [1, 2]\nx[-1] = 3"));
  EXPECT_TRUE(error("x = 1 and 2"));
  EXPECT_TRUE(error("if 1:\nend"));
  EXPECT_TRUE(error("x = sqrt(-1)"));
  EXPECT_TRUE(error("x = [1,2,3,4,5,6,7,8,9]"));
  EXPECT_TRUE(error("x = [\"text\"]"));
  EXPECT_TRUE(error("read_input_integer_register(48)"));
  EXPECT_TRUE(error("speedj([1, 2], 1.4, 0.1)"));
  EXPECT_TRUE(error("movej(p[0,0,0,0,0,0])"));
  EXPECT_TRUE(error("if False:\n y = 1\nend\nx = y"));
  EXPECT_TRUE(error("def f(n):\n return f(n + 1)\nend\nf(0)"));
  EXPECT_TRUE(
      error("thread t():\n while True:\n sync()\n end\nend\n"
            "run t()\nrun t()\nrun t()\nrun t()\nrun t()\nrun t()\nrun t()\nrun t()"));
  EXPECT_TRUE(error("rtde_set_watchdog(\"no_such_input\", 10)"));
  EXPECT_TRUE(error("rtde_set_watchdog(\"input_int_register_24\", 10, \"jump\")"));
}

TEST_F(UrScriptTest, BoundsHoldForHugePrograms) {
  std::string deep = "x = ";
  for (int i = 0; i < 200; ++i) deep += "(";
  EXPECT_NE(run(deep + "1\n", 1).find("too_many_nested_brackets"), std::string::npos);
  std::string blocks = "def a():\n";
  for (int i = 0; i < 100; ++i) blocks += "if True:\n";
  EXPECT_NE(run(blocks + "\n", 1).find("too_many_nested_blocks"), std::string::npos);
  std::string many = "def a():\n";
  for (int i = 0; i < 300; ++i) many += "x" + std::to_string(i) + " = 1\n";
  EXPECT_NE(run(many + "end\n", 1).find("too_many_variables"), std::string::npos);
  std::string long_one = "def a():\n";
  for (int i = 0; i < 9000; ++i) long_one += "sync()\n";
  EXPECT_NE(run(long_one + "end\n", 1).find("program_too_long"), std::string::npos);
}

TEST_F(UrScriptTest, FindsWhereAProgramEnds) {
  const std::string program = "def a():\n  if True:\n    sync()\n  end\nend\n";
  EXPECT_EQ(ur_script_bytes(program + "stopj(1)\n"), program.size());
  for (std::size_t size = 0; size < program.size(); ++size) {
    EXPECT_EQ(ur_script_bytes(program.substr(0, size)), 0U) << size;
  }
  EXPECT_EQ(ur_script_bytes("stopj(1)\nstopj(2)\n"), 9U);
  EXPECT_EQ(ur_script_bytes("\n\n"), 1U);
  EXPECT_EQ(ur_script_bytes("# def\n"), 6U);
  EXPECT_EQ(ur_script_bytes("textmsg(\"def\")\n"), 15U);
}

TEST_F(UrScriptTest, WatchdogsStopOrPauseAndGoWithTheirProgram) {
  const auto start = [this](const std::string& action) {
    controller_->run_script("def a():\n  rtde_set_watchdog(\"input_int_register_24\", 25, \"" +
                            action +
                            "\")\n  while True:\n    speedj([0,0,0.3,0,0,0], 1.4, 0.008)\n  end\n"
                            "end\n");
  };
  const auto kick = [this] {
    const std::array<std::uint8_t, 4> zero{};
    RtdeReader reader(zero);
    controller_->set_input(kRtdeInputInt0 + 24, reader);
  };
  for (const char* action : {"stop", "pause", "ignore"}) {
    start(action);
    for (int i = 0; i < 50; ++i) {
      controller_->tick();
      if (i % 4 == 0) kick();
    }
    EXPECT_EQ(controller_->runtime(), UrRuntime::kPlaying) << action;
    kick();
    for (int i = 0; i < 5; ++i) controller_->tick();  // 40 ms at 25 Hz
    EXPECT_EQ(controller_->runtime(), UrRuntime::kPlaying) << action;
    controller_->tick();
    EXPECT_EQ(controller_->runtime(), action == std::string("stop")    ? UrRuntime::kStopped
                                      : action == std::string("pause") ? UrRuntime::kPaused
                                                                       : UrRuntime::kPlaying);
  }
  // The program that replaces it has none.
  start("stop");
  for (int i = 0; i < 3; ++i) controller_->tick();
  controller_->run_script("def b():\n  while True:\n    sync()\n  end\nend\n");
  for (int i = 0; i < 50; ++i) controller_->tick();
  EXPECT_EQ(controller_->runtime(), UrRuntime::kPlaying);
}

}  // namespace
}  // namespace instep
