#include "kernels/seal.h"

namespace instep {
namespace {

thread_local int seals = 0;

}  // namespace

Seal::Seal() {
  ++seals;
}
Seal::~Seal() {
  --seals;
}
bool is_sealed() {
  return seals > 0;
}

}  // namespace instep
