# gorb_add_plugin(NAME source.cpp ...): a plugin library NAME.so that exports gorb_plugin_entry and nothing else, and fails to
# link when it needs a symbol that nobody gives. Libraries it uses are added with target_link_libraries as usual.
include_guard(GLOBAL)

function(gorb_add_plugin name)
    set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
    add_library(${name} MODULE ${ARGN})
    target_link_libraries(${name} PRIVATE gorb::sdk)
    set_target_properties(${name} PROPERTIES
        PREFIX ""
        C_VISIBILITY_PRESET hidden
        CXX_VISIBILITY_PRESET hidden
        VISIBILITY_INLINES_HIDDEN ON
        LINK_DEPENDS ${map})
    if(CMAKE_CXX_COMPILER_LOADED AND (NOT CMAKE_CXX_STANDARD OR CMAKE_CXX_STANDARD LESS 17))
        target_compile_features(${name} PRIVATE cxx_std_17)
    endif()
    target_link_options(${name} PRIVATE "LINKER:--version-script=${map}")
    # A sanitizer's symbols come from the program that loads the library.
    get_directory_property(options COMPILE_OPTIONS)
    if(NOT "${options} ${CMAKE_CXX_FLAGS} ${CMAKE_C_FLAGS}" MATCHES "-fsanitize")
        target_link_options(${name} PRIVATE "LINKER:-z,defs")
    endif()
endfunction()
