gorb_fuzz(grpc_session SOURCES grpc_session_fuzz.cpp LIBS pulse_grpc_parts)
if(GORB_FUZZ)
    target_compile_options(pulse_grpc_parts PRIVATE -fsanitize=fuzzer-no-link)
endif()
