# instep_layer(NAME [SOURCES ...] [USES lower layers ...]) makes the target instep_NAME, exported as
# instep::NAME. Every layer has an include root of its own, which holds nothing but a link to the
# layer's folder: "runtime/agent.h" is found only by targets that use the runtime layer, so an include
# that points upwards does not compile.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

# Warnings are errors; `cmake --compile-no-warning-as-error` lets a newer compiler say more than ours.
set(CMAKE_COMPILE_WARNING_AS_ERROR ON)

if(INSTEP_TIDY)
  find_program(INSTEP_CLANG_TIDY NAMES clang-tidy-14 clang-tidy)
  if(INSTEP_CLANG_TIDY)
    # GCC's warning options, which clang does not all know, stay with GCC.
    set(CMAKE_CXX_CLANG_TIDY "${INSTEP_CLANG_TIDY};--quiet;--extra-arg=-Wno-unknown-warning-option")
  else()
    message(WARNING "clang-tidy is not installed: building without it")
  endif()
endif()

include(GNUInstallDirs)
find_program(INSTEP_CCACHE ccache)
if(INSTEP_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${INSTEP_CCACHE}")
endif()

# Options of every target of this project; not passed on to those who install it.
add_library(instep_build_options INTERFACE)
target_compile_options(instep_build_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow
  # GCC 12 warns of overlapping copies inside std::string operations (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  # One rounding per operation as written: the compiler may not fuse a*b+c behind our back.
  -ffp-contract=off
  # sqrt() need not set errno, so that it can be one instruction, and nobody asks which exceptions floating-point
  # operations have raised, so that loops with comparisons can become vectors. They change no result.
  -fno-math-errno -fno-trapping-math)
if(INSTEP_STRICT)
  target_compile_options(instep_build_options INTERFACE
    -Wconversion -Wsign-conversion -Wdouble-promotion -Wold-style-cast -Wcast-align -Wformat=2
    -Wnon-virtual-dtor -Woverloaded-virtual)
endif()
if(INSTEP_SANITIZE)
  target_compile_options(instep_build_options INTERFACE
    -fsanitize=${INSTEP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    # With both of them GCC 12 needs ten seconds for each copy of kernels/cpu, else many minutes.
    -O1 $<$<CXX_COMPILER_ID:GNU>:-fno-var-tracking-assignments>
    # Lines are all that a report names; the rest of what debuggers know takes an eighth of the time.
    -g1)
  target_link_options(instep_build_options INTERFACE -fsanitize=${INSTEP_SANITIZE})
endif()

function(instep_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 layer "" "" "SOURCES;USES")
  set(root "${PROJECT_BINARY_DIR}/include_roots/${name}")
  file(MAKE_DIRECTORY "${root}")
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${name}" "${root}/${name}" SYMBOLIC)

  set(target instep_${name})
  if(layer_SOURCES)
    add_library(${target} STATIC ${layer_SOURCES})
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:instep_build_options>)
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(instep::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_include_directories(${target} ${scope}
    "$<BUILD_INTERFACE:${root}>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/instep>")
  foreach(lower IN LISTS layer_USES)
    target_link_libraries(${target} ${scope} instep_${lower})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY INSTEP_LAYERS ${name})
endfunction()
