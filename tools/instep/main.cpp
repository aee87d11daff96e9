#include "tools/instep/verify.h"
int main(int argc, char** argv) {
  instep::VerifyOptions o;
  if (const char* p = getenv("P")) o.path = p;
  if (getenv("PORTABLE")) o.arithmetic = instep::Arithmetic::kPortable;
  for (int i = 1; i < argc; ++i) o.files.push_back(argv[i]);
  return instep::run_verify(o);
}
