gorb_fuzz(icmp_echo SOURCES icmp_echo_fuzz.cpp LIBS pulse_icmp_parts)
if(GORB_FUZZ)
    target_compile_options(pulse_icmp_parts PRIVATE -fsanitize=fuzzer-no-link)
endif()
