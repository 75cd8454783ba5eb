// What the health engine costs without a network: bytes a backend, and CPU time of a check from the wheel of
// due times through plugin room and plugin back to the board. One line a figure.
//
// The clock is stepped, so the figures hold no waiting; CPU time is that of the process, user and system.
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/log.h"
#include "health/engine.h"

namespace {

using gorb::health::Checker;
using gorb::health::Engine;
using gorb::health::Target;
namespace plugin = gorb::plugin;
namespace io = gorb::io;

constexpr uint64_t ms = 1'000'000;
constexpr uint64_t interval = 1000 * ms;

double cpu_ns() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto ns = [](timeval t) {
        return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_usec) * 1e3;
    };
    return ns(usage.ru_utime) + ns(usage.ru_stime);
}

size_t bytes_in_use() {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

// Answers in the next turn what it answered before, and does nothing else.
class Echo final : public Checker {
  public:
    Echo(io::Loop& loop, OnReport on_report) : loop_(loop), on_report_(std::move(on_report)) {
        report_.verdict = plugin::Verdict::pass;
        report_.detail = "connected";
    }
    gorb::base::Result<Probe> add(const plugin::ProbeTarget&, Tag tag) override {
        return reinterpret_cast<Probe>(uintptr_t{tag} + 1);  // NOLINT(performance-no-int-to-ptr)
    }
    void remove(Probe) override {}
    void start(Probe probe, uint64_t) override {
        started_.push_back(static_cast<Tag>(reinterpret_cast<uintptr_t>(probe) - 1));
        if (started_.size() > 1) return;
        loop_.post([this] {
            answering_.swap(started_);
            for (const Tag tag : answering_) on_report_(tag, report_);
            answering_.clear();
        });
    }
    bool cancel(Probe) override { return false; }
    gorb::base::Status push(Probe, const plugin::PushReport&) override { return {}; }

  private:
    io::Loop& loop_;
    OnReport on_report_;
    plugin::Report report_;
    std::vector<Tag> started_, answering_;
};

struct Settings {
    size_t backends = 100'000, rounds = 20;
};

gorb::model::PulseList pulses(const std::string& type) {
    gorb::model::PulseSpec pulse;
    pulse.type = type;
    pulse.interval = std::chrono::seconds(1);
    return gorb::model::PulseList({pulse});
}

Target target(size_t n, const gorb::model::PulseList& pulses,
              const std::shared_ptr<const plugin::Config>& args) {
    Target t;
    t.id = n + 1;
    t.service = "service-" + std::to_string(n / 1000);
    t.backend = "backend-" + std::to_string(n);
    t.address.ip.family = gorb::base::Ip::Family::v4;
    t.address.ip.bytes = {10, static_cast<uint8_t>(n >> 16), static_cast<uint8_t>(n >> 8),
                          static_cast<uint8_t>(n)};
    t.address.port = 80;
    t.pulses = pulses;
    t.args = {args};
    return t;
}

void measure(const char* what, const Settings& settings, const gorb::model::PulseList& list,
             const std::shared_ptr<const plugin::Config>& args, gorb::base::ManualClock& clock,
             io::Loop& loop, Engine& engine) {
    const auto settle = [&] {
        while (loop.step()) {
        }
    };
    const auto pass = [&](uint64_t time) {
        for (uint64_t gone = 0; gone < time; gone += 10 * ms) {
            clock.advance(10 * ms);
            settle();
        }
    };
    engine.put(target(settings.backends, list, args));
    pass(interval);  // instances are made, buffers have grown
    const size_t before = bytes_in_use();
    double begin = cpu_ns();
    for (size_t n = 0; n < settings.backends; ++n) engine.put(target(n, list, args));
    std::printf("%s: put %.0f ns of CPU a backend\n", what,
                (cpu_ns() - begin) / static_cast<double>(settings.backends));
    pass(4 * interval);
    std::printf("%s: memory %.0f bytes a backend\n", what,
                static_cast<double>(bytes_in_use() - before) / static_cast<double>(settings.backends));
    const auto counted = engine.counters();
    begin = cpu_ns();
    pass(settings.rounds * interval);
    const auto now = engine.counters();
    std::printf("%s: check %.0f ns of CPU (%.0f checks)\n", what,
                (cpu_ns() - begin) / static_cast<double>(now.started - counted.started),
                static_cast<double>(now.started - counted.started));
    std::printf("%s: latest %.1f ms\n", what, static_cast<double>(now.latest_ns) / 1e6);
    begin = cpu_ns();
    size_t up = 0;
    for (size_t n = 0; n < settings.backends; ++n) {
        up += engine.read(n + 1)->state == gorb::health::State::up ? 1 : 0;
    }
    std::printf("%s: read %.0f ns of CPU\n", what,
                (cpu_ns() - begin) / static_cast<double>(settings.backends));
    if (up != settings.backends) {
        std::fprintf(stderr, "%s: only %zu of %zu are up\n", what, up, settings.backends);
        std::exit(1);
    }
}

Settings settings_of(int argc, char** argv) {
    Settings settings;
    for (int i = 1; i + 1 < argc; i += 2) {
        const size_t value = std::strtoul(argv[i + 1], nullptr, 10);
        if (std::strcmp(argv[i], "--backends") == 0) {
            settings.backends = value;
        } else if (std::strcmp(argv[i], "--rounds") == 0) {
            settings.rounds = value;
        } else {
            std::fprintf(stderr, "usage: bench_health [--backends N] [--rounds N]\n");
            std::exit(2);
        }
    }
    return settings;
}

}  // namespace

int main(int argc, char** argv) {
    const Settings settings = settings_of(argc, argv);
    gorb::base::set_log_level(gorb::base::LogLevel::error);
    gorb::health::EngineOptions options;
    options.max_in_flight = 1'000'000;
    const auto on_changed = [](std::span<const gorb::health::Changed>) {};
    {
        gorb::base::ManualClock clock;
        io::Loop loop("bench", &clock);
        const gorb::health::MakeChecker make =
            [](const std::string&, io::Loop& l, Checker::OnReport on_report,
               const Checker::OnRecheck&) -> gorb::base::Result<std::unique_ptr<Checker>> {
            return std::make_unique<Echo>(l, std::move(on_report));
        };
        Engine engine(make, {&loop}, on_changed, {}, options);
        measure("engine alone", settings, pulses("echo"), nullptr, clock, loop, engine);
    }
    malloc_trim(0);
    {
        plugin::Registry registry;
        registry.load({GORB_PLUGINS});
        const plugin::Plugin* pulse = registry.pulse("none");
        if (!pulse) {
            std::fprintf(stderr, "the plugin pulse-none is not in %s\n", GORB_PLUGINS);
            return 1;
        }
        plugin::Metrics metrics;
        io::Workers workers(1, 16);
        gorb::base::ManualClock clock;
        io::Loop loop("bench", &clock);
        {
            Engine engine(registry, metrics, {&loop}, workers, on_changed, {}, {}, options);
            measure("with pulse-none", settings, pulses("none"), *plugin::pulse_args(*pulse, {}), clock, loop,
                    engine);
        }
        registry.unload();
    }
    return 0;
}
