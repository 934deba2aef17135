# What `cmake --install` puts where, so that others find pawl with find_package(pawl) and with pkg-config.
#
# A part is a component: find_package(pawl REQUIRED COMPONENTS engine git). Each has its own export sets, so that who
# only wants the engine needs neither curl nor libgit2, and who links the shared library no headers of what it uses.

include(CMakePackageConfigHelpers)

set(pawl_parts engine input journal http git observe)
# What each part's library is made with, in pkg-config's names; its own users need it only to link statically.
set(pawl_requires_engine "")
set(pawl_requires_private_engine "tbb")
foreach(part input journal http git observe)
  set(pawl_requires_${part} "pawl-engine")
endforeach()
set(pawl_requires_private_input "simdjson")
set(pawl_requires_private_journal "")
set(pawl_requires_private_http "libcurl zlib libssl libcrypto")
set(pawl_requires_private_git "libgit2 libdeflate libisal libcrypto simdjson")
set(pawl_requires_private_observe "prometheus-cpp-core")
set(pawl_libs_private_observe " -lcivetweb")  # has no pkg-config file

set(pawl_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pawl)
set(pawl_pc_dir ${CMAKE_CURRENT_BINARY_DIR}/pkgconfig)
# pkg-config files find everything from where they lie, so an installed tree can be moved.
file(RELATIVE_PATH pawl_pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)

set(pawl_installed_parts "")
set(pawl_all_pcs "")
foreach(part ${pawl_parts})
  if(NOT TARGET pawl_${part})
    continue()
  endif()
  list(APPEND pawl_installed_parts ${part})
  # With link-time optimisation an archive holds the compiler's own form only, which no other compiler reads: add
  # machine code here, and take the compiler's form out of what is installed (below).
  if(PAWL_LTO AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(pawl_${part} PRIVATE -ffat-lto-objects)
  endif()
  pawl_shared_library(${part})
  install(TARGETS pawl_${part}_shared EXPORT pawl-${part} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(TARGETS pawl_${part} EXPORT pawl-static-${part} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  if(PAWL_LTO AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    install(CODE "
      set(archive \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/$<TARGET_FILE_NAME:pawl_${part}>\")
      execute_process(COMMAND \"${CMAKE_STRIP}\" --enable-deterministic-archives --wildcard
                              --remove-section=.gnu.lto_* --remove-section=.gnu.debuglto_*
                              --strip-symbol=__gnu_lto_* --strip-unneeded \"\${archive}\"
                      COMMAND_ERROR_IS_FATAL ANY)")
  endif()
  get_target_property(pawl_part_dir pawl_${part} SOURCE_DIR)
  install(DIRECTORY ${pawl_part_dir}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
  foreach(set pawl-${part} pawl-static-${part})  # a file includes all whose names begin with its own and a dash
    install(EXPORT ${set} NAMESPACE pawl:: DESTINATION ${pawl_package_dir} FILE ${set}.cmake)
  endforeach()

  set(pawl_pc_name pawl-${part})
  set(pawl_pc_description "${PROJECT_DESCRIPTION} (${part})")
  set(pawl_pc_requires "${pawl_requires_${part}}")
  set(pawl_pc_requires_private "${pawl_requires_private_${part}}")
  set(pawl_pc_libs "-L\${libdir} -lpawl_${part}")
  set(pawl_pc_libs_private "-pthread${pawl_libs_private_${part}}")
  configure_file(${CMAKE_CURRENT_LIST_DIR}/pawl.pc.in ${pawl_pc_dir}/pawl-${part}.pc @ONLY)
  list(APPEND pawl_all_pcs pawl-${part})
endforeach()

set(pawl_pc_name pawl)
set(pawl_pc_description "${PROJECT_DESCRIPTION}")
list(REVERSE pawl_all_pcs)
string(REPLACE ";" " " pawl_pc_requires "${pawl_all_pcs}")
set(pawl_pc_requires_private "")
set(pawl_pc_libs "")
set(pawl_pc_libs_private "")
configure_file(${CMAKE_CURRENT_LIST_DIR}/pawl.pc.in ${pawl_pc_dir}/pawl.pc @ONLY)
install(DIRECTORY ${pawl_pc_dir}/ DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig FILES_MATCHING PATTERN "*.pc")

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/pawl-config.cmake.in
                              ${CMAKE_CURRENT_BINARY_DIR}/pawl-config.cmake
                              INSTALL_DESTINATION ${pawl_package_dir})
# Before 1.0 a minor version may change an interface.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/pawl-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pawl-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/pawl-config-version.cmake
        DESTINATION ${pawl_package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/pawl)
