gorb_fuzz(dns_answer SOURCES dns_answer_fuzz.cpp LIBS pulse_dns_parts)
if(GORB_FUZZ)
    target_compile_options(pulse_dns_parts PRIVATE -fsanitize=fuzzer-no-link)
endif()
