gorb_fuzz(ipvsadm SOURCES ipvsadm_fuzz.cpp LIBS gorb_model)
