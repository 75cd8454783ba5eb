// One library for each way of being a bad plugin; FAULT_... says which. They are for tests of the daemon
// only.
#include <gorb/plugin.hpp>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace {

using gorb::sdk::Host;
using gorb::sdk::Run;
using gorb::sdk::Target;

struct Base {
    [[maybe_unused]] static constexpr const char *version = "1.0.0", *summary = "misbehaves";
    Base(const Host&, const Target&) {}
    void start(const Run& run) { run.pass("well"); }
    void cancel() noexcept {}
};

#if defined(FAULT_BLOCKS)
// Sleeps on the loop's thread, where nothing may block.
struct Pulse : Base {
    [[maybe_unused]] static constexpr const char* name = "blocks";
    using Base::Base;
    void start(const Run& run) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        run.pass("at last");
    }
};
#elif defined(FAULT_HANGS)
// The same for ever.
struct Pulse : Base {
    [[maybe_unused]] static constexpr const char* name = "hangs";
    using Base::Base;
    void start(const Run&) {
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
};
#elif defined(FAULT_SILENT)
// Never answers.
struct Pulse : Base {
    [[maybe_unused]] static constexpr const char* name = "silent";
    using Base::Base;
    void start(const Run&) {}
};
#elif defined(FAULT_THROWS_AT_CREATE)
struct Pulse {
    static constexpr const char *name = "throws-at-create", *version = "1.0.0", *summary = "misbehaves";
    struct Instance {
        Instance(const Host&, const gorb::sdk::Config&) { throw std::runtime_error("no luck today"); }
    };
    Pulse(Instance&, const Target&) {}
    void start(const Run& run) { run.pass("well"); }
    void cancel() noexcept {}
};
#elif defined(FAULT_THROWS_AT_START)
struct Pulse : Base {
    [[maybe_unused]] static constexpr const char* name = "throws-at-start";
    using Base::Base;
    void start(const Run&) { throw std::runtime_error("no luck at all"); }
};
#elif defined(FAULT_NEEDS_OPTION)
// Nothing is wrong but that somebody has to set something.
struct Pulse {
    static constexpr const char *name = "req", *version = "1.0.0", *summary = "wants something";
    static constexpr gorb_option options[] = {
        {"token-file", GORB_TEXT, GORB_REQUIRED, nullptr, nullptr, "where the token is"}};
    struct Instance {
        Instance(const Host&, const gorb::sdk::Config&) {}
    };
    Pulse(Instance&, const Target&) {}
    void start(const Run& run) { run.pass("well"); }
    void cancel() noexcept {}
};
#else
struct Pulse : Base {
    [[maybe_unused]] static constexpr const char* name = "sound";
    using Base::Base;
};
#endif
#if defined(FAULT_HALF)
// The other one of its library, whose table is wrong.
struct Second : Base {
    [[maybe_unused]] static constexpr const char* name = "second";
    static constexpr gorb_option args[] = {{"odd", 99, 0, nullptr, nullptr, "an unknown type"}};
    using Base::Base;
};
#endif

}  // namespace

#if defined(FAULT_ABI_MAJOR)
const gorb_entry gorb_plugin_entry = {sizeof(gorb_entry),
                                      GORB_ABI_MAJOR + 1,
                                      0,
                                      GORB_SDK_BUILD,
                                      gorb::sdk::Library<gorb::sdk::Pulse<Pulse>>::plugins,
                                      nullptr,
                                      nullptr};
#elif defined(FAULT_ABI_MINOR)
const gorb_entry gorb_plugin_entry = {sizeof(gorb_entry),
                                      GORB_ABI_MAJOR,
                                      9999,
                                      GORB_SDK_BUILD,
                                      gorb::sdk::Library<gorb::sdk::Pulse<Pulse>>::plugins,
                                      nullptr,
                                      nullptr};
#elif defined(FAULT_LOAD_FAILS)
static int32_t load(gorb_error* error) {
    gorb::sdk::explain(error, "the licence has run out");
    return -EPERM;
}
const gorb_entry gorb_plugin_entry = {sizeof(gorb_entry),
                                      GORB_ABI_MAJOR,
                                      0,
                                      GORB_SDK_BUILD,
                                      gorb::sdk::Library<gorb::sdk::Pulse<Pulse>>::plugins,
                                      load,
                                      nullptr};
#elif defined(FAULT_NO_ENTRY)
extern "C" GORB_EXPORT int some_other_symbol() {
    return 0;
}
#elif defined(FAULT_MISSING_SYMBOL)
extern "C" void nobody_has_this_function();
extern "C" GORB_EXPORT void uses_it() {
    nobody_has_this_function();
}
GORB_PULSE(Pulse)
#elif defined(FAULT_HALF)
GORB_PLUGIN(gorb::sdk::Pulse<Pulse>, gorb::sdk::Pulse<Second>)
#else
GORB_PULSE(Pulse)
#endif
