// A pulse without fault, to which each plugin of this folder adds one.
#pragma once
#include <gorb/plugin.hpp>

struct Harmless {
    static constexpr const char *name = "bad", *version = "1.0.0", *summary = "has one fault";
    Harmless(const gorb::sdk::Host&, const gorb::sdk::Target&) {}
    static void start(const gorb::sdk::Run& run) { run.pass(); }
    static void cancel() {}
};
