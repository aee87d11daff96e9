// The block of memory is a file format: sizes and places are pinned, and nothing overlaps.
#include "kernels/layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "kernels/adam.h"

namespace instep {
namespace {

static_assert(std::is_standard_layout_v<LearnerState> &&
              std::is_trivially_copyable_v<LearnerState>);
static_assert(sizeof(Moments) == 24 && offsetof(Moments, mean) == 8 &&
              offsetof(Moments, sum_squares) == 16);
static_assert(sizeof(LearnerState) == 256);
static_assert(offsetof(LearnerState, actor_updates) == 0);
static_assert(offsetof(LearnerState, critic_updates) == 8);
static_assert(offsetof(LearnerState, actor_beta1_power) == 16);
static_assert(offsetof(LearnerState, actor_beta2_power) == 24);
static_assert(offsetof(LearnerState, critic_beta1_power) == 32);
static_assert(offsetof(LearnerState, critic_beta2_power) == 40);
static_assert(offsetof(LearnerState, actor_updates_dropped) == 48);
static_assert(offsetof(LearnerState, critic_updates_dropped) == 56);
static_assert(offsetof(LearnerState, transitions_dropped) == 64);
static_assert(offsetof(LearnerState, normalizer_count) == 72);
static_assert(offsetof(LearnerState, running_return) == 80);
static_assert(offsetof(LearnerState, reward_moments) == 88);
static_assert(offsetof(LearnerState, discount_moments) == 112);
static_assert(offsetof(LearnerState, return_moments) == 136);
static_assert(offsetof(LearnerState, return_square_moments) == 160);
static_assert(offsetof(LearnerState, actor_acted) == 184);
static_assert(offsetof(LearnerState, actor_newest) == 188);
static_assert(offsetof(LearnerState, open_tape) == 192);
static_assert(offsetof(LearnerState, is_open) == 196);
static_assert(offsetof(LearnerState, has_action) == 200);
static_assert(offsetof(LearnerState, has_old_forward) == 204);
static_assert(offsetof(LearnerState, has_critic_forward) == 208);
static_assert(offsetof(LearnerState, has_pending_actor_update) == 212);
static_assert(offsetof(LearnerState, reward_stat) == 216);
static_assert(offsetof(LearnerState, return_before_clear) == 224);
static_assert(offsetof(LearnerState, td_error_scale) == 232);
static_assert(offsetof(LearnerState, td_error) == 240);
static_assert(offsetof(LearnerState, q_next) == 244);
static_assert(offsetof(LearnerState, next_log_prob) == 248);
static_assert(offsetof(LearnerState, critic_loss) == 252);

// Bytes of the robots' and HalfCheetah's learners, golden numbers.
static_assert(make_layout({8, 2, 256}, Algorithm::kAvg, 1).bytes == 1415872);
static_assert(make_layout({8, 2, 256}, Algorithm::kAvg, 2).bytes == 1967936);
static_assert(make_layout({17, 6, 256}, Algorithm::kAvg, 1).bytes == 1495360);
static_assert(make_layout({17, 6, 256}, Algorithm::kAvg, 2).bytes == 2078144);

static_assert(is_valid({1, 1, 4}) && is_valid({512, 32, 512}));
static_assert(!is_valid({0, 1, 4}) && !is_valid({513, 1, 4}) && !is_valid({-1, 1, 4}));
static_assert(!is_valid({1, 0, 4}) && !is_valid({1, 33, 4}) && !is_valid({1, -1, 4}));
static_assert(!is_valid({1, 1, 0}) && !is_valid({1, 1, 516}) && !is_valid({1, 1, -4}));
static_assert(!is_valid({1, 1, 6}) && !is_valid({1, 1, 5}) && is_valid({1, 1, 8}));

struct Piece {
  std::size_t start;
  std::size_t length;
};

// The pieces, in any order, cover 0 .. whole without overlap; what lies between two is less than
// `unit`.
constexpr bool covers(std::vector<Piece> pieces, std::size_t whole, std::size_t unit) {
  std::sort(pieces.begin(), pieces.end(),
            [](const Piece& a, const Piece& b) { return a.start < b.start; });
  std::size_t end = 0;
  for (const Piece& piece : pieces) {
    if (piece.start % unit != 0 || piece.start < end || piece.start >= end + unit) return false;
    end = piece.start + piece.length;
  }
  return whole >= end && whole < end + unit && whole % unit == 0;
}

std::size_t size_of(int count) {
  return static_cast<std::size_t>(count);
}

void expect_network_is_covered(const NetworkLayout& network, int hidden_dim) {
  const std::size_t width = size_of(network.width);
  EXPECT_EQ(network.width, padded(hidden_dim));
  EXPECT_TRUE(covers({{network.w1, width * size_of(network.inputs)},
                      {network.b1, width},
                      {network.w2, width * size_of(hidden_dim)},
                      {network.b2, width},
                      {network.w_head, width * size_of(network.rows)},
                      {network.b_head, size_of(network.rows)}},
                     network.floats, 16));
}

void expect_tape_is_covered(const TapeLayout& tape, const NetworkLayout& network) {
  const std::size_t width = size_of(network.width);
  const std::size_t actions = kActionDimMax;
  EXPECT_TRUE(covers({{tape.input, size_of(network.inputs)},
                      {tape.hidden1, width},
                      {tape.feature, width},
                      {tape.d_hidden2, width},
                      {tape.d_hidden1, width},
                      {tape.d_head, size_of(network.rows)},
                      {tape.head, size_of(network.rows)},
                      {tape.scalars, 16},
                      {tape.action_pre, actions},
                      {tape.action, actions},
                      {tape.noise, actions},
                      {tape.log_variance, actions},
                      {tape.std_dev, actions},
                      {tape.d_action, actions}},
                     tape.floats, 16));
}

void expect_block_is_covered(const Layout& layout) {
  const std::size_t actor = layout.actor.floats * sizeof(float);
  const std::size_t critic = layout.critic.floats * sizeof(float);
  const std::size_t actor_tape = layout.actor_tape.floats * sizeof(float);
  const std::size_t critic_tape = layout.critic_tape.floats * sizeof(float);
  const std::size_t statistics = size_of(layout.shape.observation_dim) * sizeof(double);
  std::vector<Piece> pieces = {{0, sizeof(LearnerState)},
                               {layout.actor_weights[0], actor},
                               {layout.actor_weights[1], actor},
                               {layout.actor_optimizer[kSecondMoment], actor},
                               {layout.critic_weights, critic},
                               {layout.critic_optimizer[kSecondMoment], critic},
                               {layout.normalizer_mean, statistics},
                               {layout.normalizer_variance, statistics},
                               {layout.scratch, 2 * kHiddenDimMax * sizeof(float)}};
  for (const std::size_t tape : layout.actor_tapes) pieces.push_back({tape, actor_tape});
  for (const std::size_t tape : layout.critic_tapes) pieces.push_back({tape, critic_tape});
  if (layout.actor_arrays > kFirstMoment) {
    pieces.push_back({layout.actor_optimizer[kFirstMoment], actor});
    pieces.push_back({layout.critic_optimizer[kFirstMoment], critic});
  }
  EXPECT_TRUE(covers(pieces, layout.bytes, 64));
}

TEST(Layout, CoversTheBlockWithoutOverlap) {
  for (const Shape shape : {Shape{1, 1, 4}, Shape{512, 32, 512}, Shape{8, 2, 256},
                            Shape{17, 6, 256}, Shape{3, 2, 60}, Shape{3, 2, 64}, Shape{3, 2, 68},
                            Shape{376, 17, 12}, Shape{16, 8, 320}, Shape{15, 9, 100}}) {
    ASSERT_TRUE(is_valid(shape));
    for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
      for (const int optimizer_arrays : {1, 2}) {
        SCOPED_TRACE(testing::Message() << shape.observation_dim << " " << shape.action_dim << " "
                                        << shape.hidden_dim);
        const Layout layout = make_layout(shape, algorithm, optimizer_arrays);
        EXPECT_EQ(layout.actor.inputs, shape.observation_dim);
        EXPECT_EQ(layout.actor.rows, 2 * shape.action_dim);
        EXPECT_EQ(layout.critic.inputs, critic_input_dim(shape, algorithm));
        EXPECT_EQ(layout.critic.rows, 1);
        expect_network_is_covered(layout.actor, shape.hidden_dim);
        expect_network_is_covered(layout.critic, shape.hidden_dim);
        expect_tape_is_covered(layout.actor_tape, layout.actor);
        expect_tape_is_covered(layout.critic_tape, layout.critic);
        expect_block_is_covered(layout);
      }
    }
  }
}

TEST(Layout, FirstMomentsAreTheOnlyDifferenceBeta1Makes) {
  const Layout without = make_layout({17, 6, 256}, Algorithm::kAvg, 1);
  const Layout with = make_layout({17, 6, 256}, Algorithm::kAvg, 2);
  EXPECT_EQ(with.bytes - without.bytes, (with.actor.floats + with.critic.floats) * sizeof(float));
}

TEST(Layout, HiddenWeightsOfABlockLieInputMajor) {
  std::vector<int> seen(size_of(padded(68) * 5));
  for (int i = 0; i < 68; ++i) {
    for (int j = 0; j < 5; ++j) ++seen.at(hidden_weight_index(5, i, j));
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), 68 * 5);
  EXPECT_EQ(hidden_weight_index(5, 0, 1), 64U);
  EXPECT_EQ(hidden_weight_index(5, 1, 0), 1U);
  EXPECT_EQ(hidden_weight_index(5, 64, 0), 5U * 64U);
}

}  // namespace
}  // namespace instep
