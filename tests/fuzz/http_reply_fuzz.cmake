gorb_fuzz(http_reply SOURCES http_reply_fuzz.cpp LIBS pulse_http_parts)
if(GORB_FUZZ)
    target_compile_options(pulse_http_parts PRIVATE -fsanitize=fuzzer-no-link)
endif()
