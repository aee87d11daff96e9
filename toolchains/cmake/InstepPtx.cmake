# instep_ptx(TARGET): the CUDA learner as PTX, made by clang alone (no CUDA toolkit), left in <build>/ptx and embedded
# in TARGET. One file for one block and one for a grid, PTX ISA 6.4 for sm_53, which every driver since CUDA 10.1
# compiles for every GPU from the Jetson Nano on; one for a cluster, which needs sm_90. Where clang is missing or
# does not know CUDA, the program is built without them and says so: CMake's INSTEP_HAS_PTX.
find_program(INSTEP_PTX_CLANG NAMES clang++-14 clang++-15 clang++-16 clang++ DOC "Makes PTX of the CUDA learner")
mark_as_advanced(INSTEP_PTX_CLANG)

set(INSTEP_HAS_PTX OFF CACHE INTERNAL "Whether PTX can be made" FORCE)
if(INSTEP_PTX_CLANG)
  file(WRITE "${PROJECT_BINARY_DIR}/ptx/probe.cu" "__attribute__((global)) void probe() {}\n")
  execute_process(
    COMMAND "${INSTEP_PTX_CLANG}" -x cuda --cuda-device-only --cuda-gpu-arch=sm_53 -nocudainc -nocudalib
            -Wno-unknown-cuda-version -Xclang -target-feature -Xclang +ptx64 -S "${PROJECT_BINARY_DIR}/ptx/probe.cu"
            -o "${PROJECT_BINARY_DIR}/ptx/probe.txt"
    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(NOT failed)
    set(INSTEP_HAS_PTX ON CACHE INTERNAL "Whether PTX can be made")
  endif()
endif()
if(NOT INSTEP_HAS_PTX)
  message(STATUS "No clang that makes PTX (Debian: clang-14): building without CUDA kernels")
endif()

# One kernel file: what the compiler calls the GPU and the PTX ISA, and what both are to be in the end. Clang 14 does
# not know sm_90; the instructions that need it are written by hand, and the file's head is set accordingly.
# `registers` is what a thread may have: ptxas would spill rather than take more than 128 unasked.
function(instep_ptx_file team number arch isa target version registers)
  set(cluster "")
  if(team STREQUAL "cluster")
    set(cluster "\\n.explicitcluster\\n.reqnctapercluster 8, 1, 1")
  endif()
  set(output "${PROJECT_BINARY_DIR}/ptx/instep_${team}.${target}.ptx")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/kernels/cuda/*" "${PROJECT_SOURCE_DIR}/kernels/*.h")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${INSTEP_PTX_CLANG}" -x cuda -std=c++17 --cuda-device-only --cuda-gpu-arch=${arch} -nocudainc -nocudalib
            -Wno-unknown-cuda-version -Wall -Wextra -Werror -O3 -ffp-contract=off -fno-exceptions
            -Xclang -target-feature -Xclang +${isa} -D__CUDACC__
            "-D__host__=__attribute__((host))" "-D__device__=__attribute__((device))" -DINSTEP_TEAM=${number}
            -I "${PROJECT_BINARY_DIR}/include_roots/kernels" -S "${PROJECT_SOURCE_DIR}/kernels/cuda/learner.cu"
            -o "${output}.raw"
    COMMAND sed -e "s/^\\.version .*/.version ${version}/" -e "s/^\\.target .*/.target ${target}/"
            -e "s/^\\.maxntid.*/&\\n.maxnreg ${registers}${cluster}/"
            -e "s,//.*,," -e "/^[[:space:]]*$/d" "${output}.raw" > "${output}"
    COMMAND "${CMAKE_COMMAND}" -E rm "${output}.raw"
    DEPENDS ${sources}
    COMMENT "PTX of the CUDA learner, ${team}, ${target}"
    VERBATIM)
  set_property(GLOBAL APPEND PROPERTY INSTEP_PTX_FILES "${output}")
endfunction()

function(instep_ptx target)
  set(source "${PROJECT_BINARY_DIR}/ptx/embedded_ptx.cpp")
  set(text "// PTX of the CUDA learner, zero-terminated; null where this build has none.\n")
  if(INSTEP_HAS_PTX)
    instep_ptx_file(block 1 sm_53 ptx64 sm_53 6.4 168)
    instep_ptx_file(grid 2 sm_53 ptx64 sm_53 6.4 240)
    instep_ptx_file(cluster 3 sm_80 ptx70 sm_90 7.8 240)
    get_property(files GLOBAL PROPERTY INSTEP_PTX_FILES)
    set_source_files_properties("${source}" PROPERTIES OBJECT_DEPENDS "${files}")
    set(list "")
    foreach(file IN LISTS files)
      get_filename_component(name "${file}" NAME_WE)
      string(APPEND text "asm(\".section .rodata\\n.balign 16\\n.local ${name}_text\\n${name}_text:\\n.incbin \\\"${file}\\\"\\n"
                         ".byte 0\\n.previous\");\nextern \"C\" const char ${name}_text[];\n")
      string(APPEND list "${name}_text, ")
    endforeach()
  else()
    set(list "nullptr, nullptr, nullptr")
  endif()
  string(APPEND text "namespace instep { extern const char* const kEmbeddedPtx[3];\n"
                     "const char* const kEmbeddedPtx[3] = {${list}}; }\n")
  file(CONFIGURE OUTPUT "${source}" CONTENT "${text}" @ONLY)
  target_sources(${target} PRIVATE "${source}")
endfunction()
