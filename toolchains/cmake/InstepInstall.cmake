# What `cmake --install` lays down: the headers and libraries of the layers, a package file for
# find_package(instep), the command and the licences.
include(CMakePackageConfigHelpers)

get_property(layers GLOBAL PROPERTY INSTEP_LAYERS)
foreach(layer IN LISTS layers)
  install(TARGETS instep_${layer} EXPORT instep_targets)
  # Of the tools, what others may use is <instep/instep.h>, <instep/command.h> and the library.
  set(folder "${layer}")
  if(layer STREQUAL tools)
    set(folder tools/library)
  endif()
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/${folder}/"
          DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/instep/${folder}"
          FILES_MATCHING PATTERN "*.h")
endforeach()
if(TARGET instep_instep)
  install(TARGETS instep_instep EXPORT instep_targets)
  install(FILES "${PROJECT_SOURCE_DIR}/tools/library/instep.h" "${PROJECT_SOURCE_DIR}/tools/library/library.h"
                "${PROJECT_SOURCE_DIR}/tools/instep/command.h"
          DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/instep")
endif()
install(EXPORT instep_targets NAMESPACE instep::
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/instep")

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/toolchains/cmake/instepConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/instepConfig.cmake"
  INSTALL_DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/instep")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/instepConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/instepConfig.cmake" "${PROJECT_BINARY_DIR}/instepConfigVersion.cmake"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/instep")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/THIRD_PARTY_NOTICES.md"
        DESTINATION "${CMAKE_INSTALL_DOCDIR}")
if(TARGET instep_command)
  install(TARGETS instep_command)
endif()
