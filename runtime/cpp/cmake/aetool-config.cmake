# find_package(aetool CONFIG): the target aetool::aetool, a header-only library.
#
# Graphs run on the host's ONNX Runtime, whose headers (1.16 or newer) are looked for in AETOOL_ONNXRUNTIME_INCLUDE_DIR
# and the usual places; nothing of it is linked. Without them aetool::aetool is there all the same, for bundles and streams:
# aetool_HAS_ONNXRUNTIME says which.
get_filename_component(_aetool_root "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)

if(NOT TARGET aetool::aetool)
  add_library(aetool::aetool INTERFACE IMPORTED)
  set_target_properties(aetool::aetool PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${_aetool_root}/include"
    INTERFACE_COMPILE_FEATURES cxx_std_17)
  if(CMAKE_DL_LIBS)
    set_property(TARGET aetool::aetool APPEND PROPERTY INTERFACE_LINK_LIBRARIES "${CMAKE_DL_LIBS}")
  endif()
  find_path(AETOOL_ONNXRUNTIME_INCLUDE_DIR onnxruntime_c_api.h
    PATH_SUFFIXES onnxruntime onnxruntime/core/session
    DOC "The folder of onnxruntime_c_api.h")
  set(aetool_HAS_ONNXRUNTIME OFF)
  if(AETOOL_ONNXRUNTIME_INCLUDE_DIR)
    set_property(TARGET aetool::aetool APPEND PROPERTY INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${AETOOL_ONNXRUNTIME_INCLUDE_DIR}")
    set_property(TARGET aetool::aetool APPEND PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${AETOOL_ONNXRUNTIME_INCLUDE_DIR}")
    set(aetool_HAS_ONNXRUNTIME ON)
  endif()
endif()
set(aetool_FOUND TRUE)
unset(_aetool_root)
