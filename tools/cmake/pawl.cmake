# How every target of pawl is built: one place for standard, warnings, sanitizers and link-time optimisation.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Assertions stay on in every build type: the journal makes crashing safe.
set(CMAKE_CXX_FLAGS_RELEASE "-O3")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

if(PAWL_SANITIZE)
  add_compile_options(-fsanitize=${PAWL_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${PAWL_SANITIZE})
  if(PAWL_SANITIZE MATCHES "undefined")
    # oneTBB casts its graph tasks down before their dynamic type is complete.
    add_compile_options(-fno-sanitize=vptr -fno-sanitize-recover=undefined)
  endif()
endif()

if(PAWL_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT PAWL_HAS_IPO OUTPUT PAWL_IPO_OUTPUT LANGUAGES CXX)
  if(PAWL_HAS_IPO)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      add_link_options(-Wno-stringop-overflow)  # as for compiling, see pawl_compile_options()
    endif()
  else()
    message(WARNING "no link-time optimisation: ${PAWL_IPO_OUTPUT}")
  endif()
endif()

# Warnings are errors in our own code; headers of others come in as system headers.
function(pawl_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                           -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual -Werror)
  if(CMAKE_UNITY_BUILD)
    # A name of one source file is not one of another's, which only looks as if it were included.
    target_compile_options(${target} PRIVATE -Wno-shadow)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 sees overflows that are not there in inlined string code at -O3.
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds
                                             -Wno-maybe-uninitialized -Wno-stringop-overread)
    # In a unity build every source file looks like a header to it.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
    if(PAWL_SANITIZE MATCHES "thread")
      # moodycamel's fences; our own have a variant that the sanitizer understands.
      target_compile_options(${target} PRIVATE -Wno-tsan)
    endif()
  endif()
endfunction()

# What differs for a program: under a sanitizer its own files, which read options and wait, are not optimised. With
# checks in it the optimiser takes minutes over the templates of the option parser.
function(pawl_program_options target)
  pawl_compile_options(${target})
  if(PAWL_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# pawl_library(<part> SOURCES … [LINK …] [PRIVATE_LINK …]): target pawl_<part>, alias pawl::<part>: a static library, for
# tools and tests. Headers in the folder's include/ are public, those beside the sources private.
function(pawl_library part)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(pawl_${part} STATIC ${arg_SOURCES})
  add_library(pawl::${part} ALIAS pawl_${part})
  set_target_properties(pawl_${part} PROPERTIES
    EXPORT_NAME ${part}_static OUTPUT_NAME pawl_${part} PAWL_LINK "${arg_LINK}" PAWL_PRIVATE_LINK "${arg_PRIVATE_LINK}")
  target_compile_features(pawl_${part} PUBLIC cxx_std_23)
  target_include_directories(pawl_${part} PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
                                                 $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
                                          PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
  target_link_libraries(pawl_${part} PUBLIC ${arg_LINK} PRIVATE ${arg_PRIVATE_LINK})
  pawl_compile_options(pawl_${part})
endfunction()

# pawl_shared_library(<part>): target pawl_<part>_shared, linked from the objects of pawl_<part>: nothing is compiled
# twice. It gives away what the headers mark PAWL_API and nothing else, and needs the shared libraries of other parts.
# Never link a program with both kinds of one part: it would have two engines.
function(pawl_shared_library part)
  set(target pawl_${part}_shared)
  get_target_property(link pawl_${part} PAWL_LINK)
  get_target_property(private_link pawl_${part} PAWL_PRIVATE_LINK)
  get_target_property(include pawl_${part} INTERFACE_INCLUDE_DIRECTORIES)
  list(TRANSFORM link REPLACE "^pawl::(.+)$" "pawl_\\1_shared")
  add_library(${target} SHARED $<TARGET_OBJECTS:pawl_${part}>)
  add_library(pawl::${part}_shared ALIAS ${target})
  # Before 1.0 a minor version may change an interface, so it is part of the library's name for the loader.
  set(soversion ${PROJECT_VERSION_MAJOR})
  if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(soversion 0.${PROJECT_VERSION_MINOR})
  endif()
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${part} OUTPUT_NAME pawl_${part} LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION ${soversion}
    INSTALL_RPATH "$ORIGIN" LINK_DEPENDS ${CMAKE_SOURCE_DIR}/tools/cmake/exports.map)
  target_compile_features(${target} INTERFACE cxx_std_23)
  target_include_directories(${target} INTERFACE ${include})
  target_link_libraries(${target} PUBLIC ${link} PRIVATE ${private_link})
  # Hidden visibility leaves what the compiler makes of the standard library's templates; the map hides that too.
  target_link_options(${target} PRIVATE LINKER:--version-script=${CMAKE_SOURCE_DIR}/tools/cmake/exports.map)
  if(NOT PAWL_SANITIZE)
    target_link_options(${target} PRIVATE LINKER:-z,defs)  # a name that a part uses and another hides is found here
  endif()
endfunction()

# What differs for a test: compiled for a quick build. It measures nothing; what it links is compiled as users have it.
function(pawl_test_options target)
  pawl_compile_options(${target})
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
endfunction()

# pawl_test_prelude(): target pawl_test_prelude, whose precompiled header every test reads first: GoogleTest and the
# standard headers that nearly all include are most of what a test costs to compile. A test includes what it uses all the
# same. Not with a compiler launcher: caches rarely know precompiled headers.
function(pawl_test_prelude)
  if(CMAKE_CXX_COMPILER_LAUNCHER)
    return()
  endif()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/prelude.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "int main() {}\n")
  add_executable(pawl_test_prelude ${source})  # a program, as they are, so that all is compiled alike
  target_link_libraries(pawl_test_prelude PRIVATE GTest::gmock Threads::Threads)
  target_compile_features(pawl_test_prelude PRIVATE cxx_std_23)
  pawl_test_options(pawl_test_prelude)
  target_precompile_headers(pawl_test_prelude PRIVATE
    <gmock/gmock.h> <gtest/gtest.h> <algorithm> <array> <atomic> <chrono> <expected> <filesystem> <fstream> <functional>
    <memory> <optional> <random> <span> <sstream> <string> <string_view> <thread> <vector>)
endfunction()

# pawl_test(<name> SOURCES … [LINK …] [LABELS …] [TIMEOUT seconds] [SHARDS count] [PRIVATE_OF part…]): one
# GoogleTest binary, one CTest test, or as many as SHARDS says, each with its share of the cases. PRIVATE_OF lets a unit
# test see the private headers of a part.
function(pawl_test name)
  cmake_parse_arguments(arg "" "TIMEOUT;SHARDS" "SOURCES;LINK;LABELS;PRIVATE_OF" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gmock GTest::gtest_main Threads::Threads)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
  foreach(part ${arg_PRIVATE_OF})
    get_target_property(dir pawl_${part} SOURCE_DIR)
    target_include_directories(${name} PRIVATE ${dir}/src)
  endforeach()
  pawl_test_options(${name})
  if(PAWL_UNITY_TESTS)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
  endif()
  if(PAWL_SANITIZE)
    # What is not run under a sanitizer (tools/test.sh) is not built for it: it is most of what the build costs.
    set(run_labels unit contract integration)
    if(PAWL_SANITIZE MATCHES "thread")
      set(run_labels tsan tsan_graph)
    endif()
    set(runs ${arg_LABELS})
    list(JOIN run_labels "|" run_labels)
    list(FILTER runs INCLUDE REGEX "^(${run_labels})$")
    if(NOT "unit" IN_LIST arg_LABELS)
      # Undefined behaviour is looked for in the code under test; only unit tests have such code of templates.
      target_compile_options(${name} PRIVATE -fno-sanitize=undefined)
    endif()
    if(NOT runs)
      set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
  endif()
  if(TARGET pawl_test_prelude)
    target_precompile_headers(${name} REUSE_FROM pawl_test_prelude)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(NOT arg_SHARDS)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
    return()
  endif()
  math(EXPR last "${arg_SHARDS} - 1")
  foreach(shard RANGE ${last})
    add_test(NAME ${name}_${shard} COMMAND ${name})
    set_tests_properties(${name}_${shard} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}"
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${arg_SHARDS};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()
