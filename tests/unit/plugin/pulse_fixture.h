// An instance of the puppet (bad/puppet.cpp) on a loop with a clock of its own, and what it answers.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plugin/pulse.h"

namespace gorb::plugin {

inline std::filesystem::path puppet_folder() {
    return std::filesystem::path(BAD_PLUGINS) / "puppet";
}

// A loopback socket that listens, or (SOCK_DGRAM) that answers itself.
class Peer {
  public:
    explicit Peer(int type) : fd_(socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof in;
        EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&in), size), 0);
        if (type == SOCK_STREAM) {
            EXPECT_EQ(listen(fd_, 16), 0);
        }
        EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&in), &size), 0);
        endpoint = {base::Ip::parse("127.0.0.1").value(), ntohs(in.sin_port)};
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() { close(fd_); }
    int fd() const { return fd_; }
    base::Endpoint endpoint;

  private:
    int fd_;
};

struct Given {
    PulseInstance::Tag tag;
    Report report;
};

struct PulseTest : testing::Test {
    PulseTest() {
        registry.load({puppet_folder()});
        puppet = registry.pulse("puppet");
    }
    base::Result<std::unique_ptr<PulseInstance>> make(const std::string& how = "fine") {
        return PulseInstance::create(
            *puppet, *Config::make(puppet->options, {{"create", "\"" + how + "\""}}), loop, workers, metrics,
            [this](PulseInstance::Tag tag, const Report& report) {
                given.push_back({tag, report});
            },
            [this](PulseInstance::Tag tag) { rechecks.push_back(tag); });
    }
    base::Result<PulseInstance::Probe*> add(const std::string& act, base::Endpoint address = {}) {
        ProbeTarget target;
        target.service = "web";
        target.backend = "b1";
        target.address = address.ip ? address : base::Endpoint{base::Ip::parse("192.0.2.7").value(), 81};
        target.args = pulse_args(*puppet, {{"act", "\"" + act + "\""}}).value();
        return instance->add(target, ++tags);
    }
    PulseInstance::Run start(PulseInstance::Probe* probe) {
        return instance->start(probe, clock.now() + 1'000'000'000);
    }
    bool turn_until(const std::function<bool()>& done) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!done() && std::chrono::steady_clock::now() < until) {
            if (!loop.step()) poll(nullptr, 0, 1);
        }
        return done();
    }
    // One check of a fresh target with that act, until it is answered.
    Report check(const std::string& act, base::Endpoint address = {}) {
        if (!instance) instance = make().value();
        given.clear();
        auto* probe = add(act, address).value();
        start(probe);
        EXPECT_THAT(given, testing::IsEmpty()) << "answered before start() returned";
        EXPECT_TRUE(turn_until([&] { return !given.empty(); })) << act;
        if (given.empty()) return {};
        EXPECT_EQ(given[0].tag, tags);
        for (int i = 0; i < 3; ++i) loop.step();
        EXPECT_THAT(given, testing::SizeIs(1)) << act;
        Report report = given[0].report;
        instance->remove(probe);
        return report;
    }
    double counted(const std::string& name) const {
        for (const Metric& metric : metrics.read()) {
            if (metric.name == "gorb_plugin_puppet_" + name) return metric.value;
        }
        return 0;
    }

    base::ManualClock clock;
    io::Loop loop{"loop-test", &clock};
    io::Workers workers{2, 2};
    Metrics metrics;
    Registry registry;
    const Plugin* puppet = nullptr;
    std::vector<Given> given;
    std::vector<PulseInstance::Tag> rechecks;
    PulseInstance::Tag tags = 0;              // the newest
    std::unique_ptr<PulseInstance> instance;  // goes before the rest
};

}  // namespace gorb::plugin
