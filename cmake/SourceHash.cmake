# The identity of a native library: one SHA-256 over its sources and its compiler flags.
#
# source_hash(TARGET HEADER PREFIX): generates HEADER in the build tree, which defines
#   <PREFIX>_SOURCE_HASH  SHA-256 of the lines "<sha256>  <relative path>\n", sorted by path, over
#                         every .c and .h file under src/ and include/, then "flags <flags>\n"
#   <PREFIX>_BUILD_FLAGS  compiler id, version and flags, as one string
# It is made again whenever one of those files changes, so a library can always be compared with
# the sources that lie beside it (`mtbench doctor` does).
#
# Run as a script (cmake -DOUT= -DROOT= -DPREFIX= -DFLAGS= -P SourceHash.cmake) it writes the header.

if(CMAKE_SCRIPT_MODE_FILE)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/src/*.c ${ROOT}/src/*.h ${ROOT}/include/*.h)
  list(SORT files)
  set(lines "")
  foreach(file IN LISTS files)
    file(SHA256 ${ROOT}/${file} digest)
    string(APPEND lines "${digest}  ${file}\n")
  endforeach()
  string(APPEND lines "flags ${FLAGS}\n")
  string(SHA256 digest "${lines}")
  file(WRITE ${OUT} "#define ${PREFIX}_SOURCE_HASH \"${digest}\"\n#define ${PREFIX}_BUILD_FLAGS \"${FLAGS}\"\n")
  return()
endif()

set(SOURCE_HASH_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(source_hash target header prefix)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  set(flags "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION} ${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${type}}")
  string(REPLACE "\"" "'" flags "${flags}")
  string(REGEX REPLACE "[ \n]+" " " flags "${flags}")
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.[ch]
       ${CMAKE_CURRENT_SOURCE_DIR}/include/*.h)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/generated/${header})
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DROOT=${CMAKE_CURRENT_SOURCE_DIR} -DPREFIX=${prefix}
            "-DFLAGS=${flags}" -P ${SOURCE_HASH_SCRIPT}
    DEPENDS ${files} ${SOURCE_HASH_SCRIPT}
    VERBATIM)
  add_custom_target(${target} DEPENDS ${out})
endfunction()
