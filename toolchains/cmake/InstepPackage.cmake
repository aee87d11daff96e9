# The Debian package: `cpack` in a build folder, or `cmake --build FOLDER --target package`. It holds the
# command and what makes it a service; headers and libraries are for `cmake --install`.
set(INSTEP_PACKAGE_CONTACT "instep <instep@package.invalid>"
    CACHE STRING "Maintainer of the packages: Name <address>")
set(sources "${PROJECT_SOURCE_DIR}/toolchains/packages")
set(made "${PROJECT_BINARY_DIR}/package")
file(MAKE_DIRECTORY "${made}")

# The licences of what is compiled into the command go along with it.
file(READ "${PROJECT_SOURCE_DIR}/LICENSE" copyright)
file(READ "${PROJECT_SOURCE_DIR}/THIRD_PARTY_NOTICES.md" notices)
string(APPEND copyright "\n${notices}\n"
       "The GNU licences are in /usr/share/common-licenses/LGPL-2.1 and /usr/share/common-licenses/GPL-3.\n")
foreach(package IN ITEMS libcli11-dev libtomlplusplus-dev nlohmann-json3-dev)
  if(EXISTS "/usr/share/doc/${package}/copyright")
    file(READ "/usr/share/doc/${package}/copyright" text)
    string(APPEND copyright "\n---- ${package} ----\n${text}")
  endif()
endforeach()
file(WRITE "${made}/copyright" "${copyright}")

foreach(page IN ITEMS changelog instep.1)
  configure_file("${sources}/${page}.in" "${made}/${page}" @ONLY)
  execute_process(COMMAND gzip --best --no-name --force --keep "${made}/${page}" COMMAND_ERROR_IS_FATAL ANY)
endforeach()

# install_packaged(DESTINATION FILE...) installs into the package alone: paths like /lib/udev are not for
# `cmake --install --prefix`.
function(install_packaged destination)
  install(FILES ${ARGN} DESTINATION "${destination}" COMPONENT packaged EXCLUDE_FROM_ALL)
endfunction()
install(TARGETS instep_command RUNTIME DESTINATION bin COMPONENT packaged EXCLUDE_FROM_ALL)
install(PROGRAMS "${sources}/run-robot" DESTINATION lib/instep COMPONENT packaged EXCLUDE_FROM_ALL)
install(DIRECTORY DESTINATION /etc/instep COMPONENT packaged EXCLUDE_FROM_ALL)
install_packaged(/lib/systemd/system "${sources}/instep@.service")
install_packaged(/lib/udev/rules.d "${sources}/60-instep.rules")
install(FILES "${sources}/limits.conf" DESTINATION /etc/security/limits.d RENAME instep.conf
        COMPONENT packaged EXCLUDE_FROM_ALL)
install(FILES "${sources}/instep.bash" DESTINATION share/bash-completion/completions RENAME instep
        COMPONENT packaged EXCLUDE_FROM_ALL)
install_packaged(share/man/man1 "${made}/instep.1.gz")
install_packaged(share/doc/instep "${made}/copyright" "${made}/changelog.gz"
                 "${PROJECT_SOURCE_DIR}/docs/reading_the_plots.md" "${PROJECT_SOURCE_DIR}/docs/troubleshooting.md")
install_packaged(share/doc/instep/examples "${sources}/robot.conf")
file(WRITE "${made}/conffiles" "/etc/security/limits.d/instep.conf\n")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_CONTACT "${INSTEP_PACKAGE_CONTACT}")
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL packaged)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
# Whatever the umask of who builds: everybody may read what is installed.
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_CURRENT_LIST_DIR}/package_permissions.cmake")
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_NAME instep)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "learn on the robot, in step with its control loop")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"One update of a policy in each control step, on the robot's own computer, from
the newest sample only: the algorithm AVG, without a replay buffer. With a
service for each robot, rules for its serial port, and the limits that real
time needs.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${sources}/postinst;${sources}/prerm;${sources}/postrm;${made}/conffiles")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
if(NOT CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
else()
  # The target's libraries are not installed here for dpkg-shlibdeps to look at.
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
  string(APPEND CPACK_DEBIAN_PACKAGE_DEPENDS ", libc6 (>= ${INSTEP_TARGET_GLIBC})")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    string(APPEND CPACK_DEBIAN_PACKAGE_DEPENDS ", libstdc++6 (>= 12), libgcc-s1")
  endif()
endif()
include(CPack)
