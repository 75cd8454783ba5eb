gorb_fuzz(rest_request SOURCES rest_request_fuzz.cpp LIBS gorb_rest)
