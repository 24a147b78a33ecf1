# cffi_module(NAME BUILDER LIBRARY...): an API-mode cffi extension for the package in this folder.
# BUILDER is a Python script that writes the module's C source to the path it is given; LIBRARY is
# what the module links with. Only meaningful under scikit-build-core, which provides Python.
function(cffi_module name builder)
  find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
  add_custom_command(
    OUTPUT ${generated}
    COMMAND Python::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/${builder} ${generated}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${builder}
    VERBATIM)
  python_add_library(${name} MODULE WITH_SOABI ${generated})
  target_link_libraries(${name} PRIVATE ${ARGN})
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN")
  get_filename_component(package ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  install(TARGETS ${name} LIBRARY DESTINATION ${package})
endfunction()
