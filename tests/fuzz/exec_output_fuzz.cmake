gorb_fuzz(exec_output SOURCES exec_output_fuzz.cpp LIBS pulse_exec_parts)
if(GORB_FUZZ)
    target_compile_options(pulse_exec_parts PRIVATE -fsanitize=fuzzer-no-link)
endif()
