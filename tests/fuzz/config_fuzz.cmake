gorb_fuzz(config SOURCES config_fuzz.cpp LIBS gorb_model)
