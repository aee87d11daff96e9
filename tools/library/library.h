// What the instep command does, as functions: `#include <instep/library.h>`, target instep::instep.
//
//   const instep::Trained trained = instep::train({.task = "hopper", .steps = 100'000});
//   const instep::Evaluation value = instep::evaluate({.run = trained.summary.out});
//
// Each takes a struct of options and answers a struct of what it found; what cannot be is an
// exception (error.h). Nothing is kept between calls, and calls in several threads do not notice
// each other. They give the bits that the command gives.
#pragma once

#include "tools/library/check/compare.h"              // compare_runs()
#include "tools/library/check/replay.h"               // replay()
#include "tools/library/check/verify.h"               // verify()
#include "tools/library/error.h"                      // CommandError
#include "tools/library/measure/doctor.h"             // examine()
#include "tools/library/measure/info.h"               // inspect()
#include "tools/library/measure/profile.h"            // profile()
#include "tools/library/measure/profile_agents.h"     // profile_agents()
#include "tools/library/measure/real_time_profile.h"  // profile_in_real_time()
#include "tools/library/measure/yardsticks.h"  // create_mover_yardsticks(), ur_reacher2_yardsticks()
#include "tools/library/report/report.h"       // write_report()
#include "tools/library/run/eval.h"            // evaluate()
#include "tools/library/run/random_search.h"   // random_search()
#include "tools/library/run/train.h"           // train()
#include "tools/library/run/train_seeds.h"     // train_seeds(), resume_seeds()
