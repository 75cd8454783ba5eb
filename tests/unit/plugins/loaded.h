// A shipped plugin, loaded, and one instance of it on a FakeHost whose clock the test moves.
#pragma once
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <gorb/testing.hpp>
#include <stdexcept>
#include <string>

namespace plugin_test {

inline const gorb_plugin& plugin(const std::string& name) {
    const std::string file = std::string(GORB_PLUGINS) + "/pulse-" + name + ".so";
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) throw std::runtime_error(dlerror());
    return *static_cast<const gorb_entry*>(dlsym(library, "gorb_plugin_entry"))->plugins[0];
}

// An instance; at the end it must have left nothing behind and kept the contract.
class Instance {
  public:
    explicit Instance(const std::string& name) : pulse(host, plugin(name)) {}
    ~Instance() {
        EXPECT_EQ(pulse.destroy(), std::vector<std::string>());
        EXPECT_EQ(host.violations(), std::vector<std::string>());
    }
    // One whole check. A check that is not answered is a failure here, and UNKNOWN.
    gorb::testing::Report run(uint16_t port, const gorb::testing::Values& args = {},
                              const std::string& ip = "127.0.0.1") {
        const auto report = pulse.run(pulse.add(gorb::testing::address(ip, port), args));
        EXPECT_TRUE(report.has_value()) << "no answer";
        return report.value_or(gorb::testing::Report{});
    }

    gorb::testing::FakeHost host;
    gorb::testing::PulseRunner pulse;
};

}  // namespace plugin_test
