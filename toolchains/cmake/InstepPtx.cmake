# instep_ptx(TARGET): the CUDA learner as PTX, made by clang alone (no CUDA toolkit), left in <build>/ptx and embedded
# in TARGET. One file for one block and one for a grid, PTX ISA 6.4 for sm_53, which every driver since CUDA 10.1
# compiles for every GPU from the Jetson Nano on; one for a cluster, which needs sm_90. Where clang is missing or
# does not know CUDA, the program is built without them and says so: CMake's INSTEP_HAS_PTX.
find_program(INSTEP_PTX_CLANG NAMES clang++-14 clang++-15 clang++-16 clang++-19 clang++ DOC "Makes PTX of the CUDA learner")
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

set(INSTEP_FINISH_PTX "${CMAKE_CURRENT_LIST_DIR}/finish_ptx.awk" CACHE INTERNAL "What makes of PTX what is embedded")
# instep_ptx_file(SOURCE file OUTPUT file ARCH arch ISA isa TARGET target VERSION version KERNELS number [TEAM number]
# [REGISTERS n] [CLUSTER blocks]): a rule that makes one file of that many kernels. ARCH and ISA are what the compiler
# is told, TARGET and VERSION what the file's head is to say in the end: clang 14 does not know sm_90, so the
# instructions that need it are written by hand. REGISTERS is what a thread may have: ptxas would spill rather than take
# more than 128 unasked.
function(instep_ptx_file)
  cmake_parse_arguments(PARSE_ARGV 0 ptx "" "SOURCE;OUTPUT;ARCH;ISA;TARGET;VERSION;KERNELS;TEAM;REGISTERS;CLUSTER" "")
  set(directives "")
  if(ptx_REGISTERS)
    set(directives ".maxnreg ${ptx_REGISTERS}")
  endif()
  if(ptx_CLUSTER)
    string(APPEND directives ";.explicitcluster;.reqnctapercluster ${ptx_CLUSTER}, 1, 1")
  endif()
  get_filename_component(folder "${ptx_SOURCE}" DIRECTORY)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*" "${PROJECT_SOURCE_DIR}/kernels/cuda/*"
       "${PROJECT_SOURCE_DIR}/kernels/*.h")
  add_custom_command(
    OUTPUT "${ptx_OUTPUT}"
    COMMAND "${INSTEP_PTX_CLANG}" -x cuda -std=c++17 --cuda-device-only --cuda-gpu-arch=${ptx_ARCH} -nocudainc
            -nocudalib -Wno-unknown-cuda-version -Wall -Wextra -Werror -O3 -ffp-contract=off -fno-exceptions
            -Xclang -target-feature -Xclang +${ptx_ISA} -D__CUDACC__
            "-D__host__=__attribute__((host))" "-D__device__=__attribute__((device))" -DINSTEP_TEAM=${ptx_TEAM}
            -I "${PROJECT_BINARY_DIR}/include_roots/kernels" -I "${PROJECT_BINARY_DIR}/include_roots/tools"
            -S "${PROJECT_SOURCE_DIR}/${ptx_SOURCE}" -o "${ptx_OUTPUT}.raw"
    COMMAND awk -v "version=${ptx_VERSION}" -v "target=${ptx_TARGET}" -v "directives=${directives}"
            -v "kernels=${ptx_KERNELS}"
            -f "${INSTEP_FINISH_PTX}" "${ptx_OUTPUT}.raw" > "${ptx_OUTPUT}"
    COMMAND "${CMAKE_COMMAND}" -E rm "${ptx_OUTPUT}.raw"
    DEPENDS ${sources} "${INSTEP_FINISH_PTX}"
    COMMENT "PTX of ${ptx_SOURCE} for ${ptx_TARGET}"
    VERBATIM)
endfunction()

function(instep_ptx target)
  set(source "${PROJECT_BINARY_DIR}/ptx/embedded_ptx.cpp")
  set(text "// PTX of the CUDA learner, zero-terminated; null where this build has none.\n")
  if(INSTEP_HAS_PTX)
    set(block "${PROJECT_BINARY_DIR}/ptx/instep_block.sm_53.ptx")
    set(grid "${PROJECT_BINARY_DIR}/ptx/instep_grid.sm_53.ptx")
    set(cluster "${PROJECT_BINARY_DIR}/ptx/instep_cluster.sm_90.ptx")
    set(files "${block}" "${grid}" "${cluster}")
    set(source_file kernels/cuda/learner.cu)
    instep_ptx_file(SOURCE ${source_file} OUTPUT "${block}" TEAM 1 ARCH sm_53 ISA ptx64 TARGET sm_53 VERSION 6.4
                    KERNELS 2 REGISTERS 168)
    instep_ptx_file(SOURCE ${source_file} OUTPUT "${grid}" TEAM 2 ARCH sm_53 ISA ptx64 TARGET sm_53 VERSION 6.4
                    KERNELS 2 REGISTERS 240)
    instep_ptx_file(SOURCE ${source_file} OUTPUT "${cluster}" TEAM 3 ARCH sm_80 ISA ptx70 TARGET sm_90 VERSION 7.8
                    KERNELS 2 REGISTERS 240 CLUSTER 8)
    # The assembler's text defines what the compiler's refers to, which link-time optimisation would take apart.
    set_source_files_properties("${source}" PROPERTIES OBJECT_DEPENDS "${files}" COMPILE_OPTIONS -fno-lto)
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
