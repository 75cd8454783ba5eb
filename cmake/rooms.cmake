# Rooms of core: a static library each, with the storey it is on. A room may include rooms of lower storeys only;
# tests/checks/includes.py reads the calls below and every #include "room/..." and fails on one that points upwards.
#
#   gorb_room(NAME STOREY n SOURCES a.cpp ... LIBS external::target ... ROOMS lower-room ...)
function(gorb_room name)
    cmake_parse_arguments(ROOM "" "STOREY" "SOURCES;LIBS;ROOMS" ${ARGN})
    add_library(gorb_${name} STATIC ${ROOM_SOURCES})
    target_include_directories(gorb_${name} PUBLIC ${PROJECT_SOURCE_DIR}/core)
    list(TRANSFORM ROOM_ROOMS PREPEND gorb_)
    target_link_libraries(gorb_${name} PUBLIC ${ROOM_ROOMS} ${ROOM_LIBS} Threads::Threads)
endfunction()
