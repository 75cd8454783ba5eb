gorb_fuzz(ipvs_wire SOURCES ipvs_wire_fuzz.cpp LIBS gorb_ipvs)
