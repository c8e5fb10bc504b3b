# tgc_sources(VAR PATTERN...): the C files of this folder that match. A folder
# that has none yet gives a placeholder, since CMake refuses an empty library.
function(tgc_sources variable)
  file(GLOB found CONFIGURE_DEPENDS ${ARGN})
  if(NOT found)
    set(found ${CMAKE_CURRENT_BINARY_DIR}/placeholder.c)
    file(WRITE ${found} "typedef int Placeholder;\n")
  endif()
  set(${variable} ${found} PARENT_SCOPE)
endfunction()
