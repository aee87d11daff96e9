# What a build for another machine needs beside its toolchain file.
if(NOT CMAKE_CROSSCOMPILING)
  return()
endif()

# The header-only libraries are taken from the build machine, but copied: its /usr/include also holds the
# headers of its C library, which must not come near a compiler for another one.
set(staged "${PROJECT_BINARY_DIR}/staged")
foreach(header IN ITEMS CLI/CLI.hpp toml++/toml.h nlohmann/json.hpp)
  get_filename_component(folder "${header}" DIRECTORY)
  find_path(INSTEP_HOST_${folder} "${header}" NO_CMAKE_FIND_ROOT_PATH)
  mark_as_advanced(INSTEP_HOST_${folder})
  if(INSTEP_HOST_${folder})
    file(COPY "${INSTEP_HOST_${folder}}/${folder}" DESTINATION "${staged}/include")
  endif()
endforeach()
foreach(package IN ITEMS CLI11 nlohmann_json)
  find_path(INSTEP_HOST_${package}_PACKAGE ${package}Config.cmake NO_CMAKE_FIND_ROOT_PATH
            PATHS /usr /usr/local PATH_SUFFIXES share/cmake/${package} lib/cmake/${package})
  mark_as_advanced(INSTEP_HOST_${package}_PACKAGE)
  if(INSTEP_HOST_${package}_PACKAGE)
    file(COPY "${INSTEP_HOST_${package}_PACKAGE}" DESTINATION "${staged}/share/cmake")
  endif()
endforeach()
list(APPEND CMAKE_FIND_ROOT_PATH "${staged}")
