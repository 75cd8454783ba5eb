gorb_fuzz(model_codec SOURCES model_codec_fuzz.cpp LIBS gorb_model)
