# Libraries that plugin_test loads: each in a folder of its own, as Registry takes folders.
function(gorb_bad_plugin name source)
    add_library(bad_${name} MODULE ${CMAKE_CURRENT_SOURCE_DIR}/unit/plugin/bad/${source})
    target_compile_definitions(bad_${name} PRIVATE ${ARGN})
    target_link_libraries(bad_${name} PRIVATE gorb::sdk Threads::Threads)
    set_target_properties(bad_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/bad/${name})
    add_dependencies(plugin_test bad_${name})
endfunction()

if(TARGET plugin_test)
    target_compile_definitions(plugin_test PRIVATE BAD_PLUGINS="${CMAKE_CURRENT_BINARY_DIR}/bad")
    foreach(fault IN ITEMS
            none other_major newer_minor small_entry no_table empty_table no_end no_symbol unresolved
            small_plugin no_kind foreign_kind bad_name no_ops small_ops no_start bad_type bad_fallback twins
            load_fails load_says_nothing load_throws constructor_throws constructor_exits constructor_crashes constructor_hangs
            tables_crash load_crashes load_exits load_hangs unload_throws half_good)
        string(TOUPPER ${fault} define)
        gorb_bad_plugin(${fault} entry.cpp FAULT_${define})
    endforeach()
    gorb_bad_plugin(puppet puppet.cpp)
endif()
