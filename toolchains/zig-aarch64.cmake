# 64-bit Arm Linux with an old C library: clang and libc++ as zig bundles them (PyPI: ziglang), linked
# against stubs of the glibc that the target has. The C++ library is linked statically, so the target
# needs nothing but its own libc.
#   INSTEP_TARGET_GLIBC  version of the target's glibc, for example 2.27
#   INSTEP_TARGET_CPU    zig's name of its processor, for example cortex_a57
#   INSTEP_EMULATED_CPU  qemu's name of the processor that the tests run on, for example cortex-a57
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES INSTEP_TARGET_GLIBC INSTEP_TARGET_CPU INSTEP_EMULATED_CPU)

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(zig_venv "$ENV{INSTEP_ZIG_VENV}")
if(NOT zig_venv)
  set(zig_venv "$ENV{HOME}/.cache/instep/zig")
endif()
file(GLOB zig "${zig_venv}/lib/python3*/site-packages/ziglang/zig")
if(NOT zig)
  message(FATAL_ERROR "zig is not in ${zig_venv}; tools/cross installs it, or by hand: "
                      "python3 -m venv ${zig_venv} && ${zig_venv}/bin/pip install ziglang==0.17.1")
endif()
set(CMAKE_C_COMPILER "${zig};cc") # GoogleTest asks for one
set(CMAKE_CXX_COMPILER "${zig};c++")
set(CMAKE_C_FLAGS_INIT "-target aarch64-linux-gnu.${INSTEP_TARGET_GLIBC} -mcpu=${INSTEP_TARGET_CPU}")
# toml++ does not know that this libc++ has from_chars() for double, and would read numbers through a stream,
# which refuses those below 2.2e-308.
set(CMAKE_CXX_FLAGS_INIT "${CMAKE_C_FLAGS_INIT} -DTOML_FLOAT_CHARCONV=1")
# zig has its own cache, and ccache does not know it.
set(INSTEP_CCACHE "")

# GNU binutils for the rest: zig has no strip and no nm.
set(CMAKE_AR /usr/bin/aarch64-linux-gnu-ar)
set(CMAKE_RANLIB /usr/bin/aarch64-linux-gnu-ranlib)
set(CMAKE_NM /usr/bin/aarch64-linux-gnu-nm)
set(CMAKE_OBJDUMP /usr/bin/aarch64-linux-gnu-objdump)
set(CMAKE_STRIP /usr/bin/aarch64-linux-gnu-strip)

set(CMAKE_CROSSCOMPILING_EMULATOR
    "qemu-aarch64-static;-cpu;${INSTEP_EMULATED_CPU};-L;/usr/aarch64-linux-gnu")

# Nothing of the build machine, and nothing is installed for the target.
set(CMAKE_FIND_ROOT_PATH "${CMAKE_BINARY_DIR}/staged")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
