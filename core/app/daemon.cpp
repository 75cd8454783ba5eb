#include "app/daemon.h"

#include <atomic>
#include <thread>

#include "app/installation.h"
#include "app/plugin_options.h"
#include "base/log.h"
#include "control/control.h"
#include "health/engine.h"
#include "io/loop.h"
#include "io/watchdog.h"
#include "io/workers.h"
#include "ipvs/memory_driver.h"
#include "ipvs/netlink_driver.h"
#include "ipvs/vip.h"
#include "plugin/metrics.h"
#include "plugin/registry.h"
#include "rest/api.h"
#include "rest/server.h"

namespace gorb::app {

using base::Result;

namespace {

constexpr uint64_t second = 1'000'000'000;
constexpr uint64_t control_stuck_after = 30 * second;

Result<std::unique_ptr<ipvs::Driver>> open_driver(DriverKind kind) {
    if (kind == DriverKind::memory) {
        base::log_warning("the IPVS table is in memory only: NO PACKETS FLOW (--driver memory)");
        return std::make_unique<ipvs::MemoryDriver>();
    }
    return ipvs::open_netlink_driver();
}

health::EngineOptions engine_options(const Settings& settings) {
    health::EngineOptions options;
    options.self_suspicion = {settings.suspicion, settings.suspicion_threshold, settings.suspicion_least,
                              settings.suspicion_thaw_after};
    options.max_in_flight = settings.max_in_flight;
    options.max_per_host = settings.max_per_host;
    return options;
}

std::chrono::milliseconds ms(std::chrono::nanoseconds d) {
    return std::chrono::ceil<std::chrono::milliseconds>(d);
}

}  // namespace

// In the order they are built; destroyed the other way round, after ~Daemon has stopped what runs.
struct Daemon::Parts {
    plugin::Registry registry;
    plugin::Metrics metrics;
    std::unique_ptr<io::Workers> workers;
    std::vector<std::unique_ptr<io::Loop>> loops;
    std::unique_ptr<control::Control> control;
    std::unique_ptr<health::Engine> engine;
    std::unique_ptr<rest::Server> server;
    std::unique_ptr<io::Watchdog> watchdog;
    std::vector<std::thread> threads;
    base::SystemClock clock;
    std::atomic<bool> stopping{false};
};

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Daemon>> Daemon::start(const Settings& settings) {
    auto parts = std::make_unique<Parts>();
    Parts& p = *parts;

    auto address = listen_endpoint(settings.listen);
    if (!address) return base::fail(address.error());
    auto driver = open_driver(settings.driver);
    if (!driver) return base::fail(driver.error());
    std::unique_ptr<ipvs::VipTable> vips;
    if (!settings.vip_interface.empty()) {
        auto table = ipvs::open_vip_table(settings.vip_interface);
        if (!table) return base::fail(table.error());
        vips = std::move(*table);
    }

    p.registry.load(plugin_directories(settings));
    for (const plugin::Refused& refused : p.registry.refused()) {
        base::log_error("plugin refused", {{"file", refused.file.string()}, {"why", refused.why}});
    }
    for (const plugin::Plugin* found : p.registry.plugins()) {
        base::log_info("plugin loaded", {{"name", found->name},
                                         {"kind", found->kind},
                                         {"version", found->version},
                                         {"file", found->file.string()}});
    }

    auto options = pulse_options(p.registry, settings);
    if (!options) return base::fail(options.error());

    p.workers = std::make_unique<io::Workers>(settings.workers, settings.worker_queue);
    std::vector<io::Loop*> loops;
    std::vector<const io::Loop*> watched;
    for (unsigned i = 0; i < settings.loops; ++i) {
        p.loops.push_back(std::make_unique<io::Loop>("loop-" + std::to_string(i)));
        loops.push_back(p.loops.back().get());
        watched.push_back(p.loops.back().get());
    }

    ipvs::Driver& table = **driver;
    p.control = std::make_unique<control::Control>(std::move(*driver), std::move(vips), p.registry,
                                                   control::Options{settings.release_on_exit});
    p.engine = std::make_unique<health::Engine>(
        p.registry, p.metrics, loops, *p.workers,
        [control = p.control.get()](std::span<const health::Changed> changes) {
            control->health_changed(changes);
        },
        std::move(*options),
        [control = p.control.get()](const health::Suspicion& suspicion) { control->suspected(suspicion); },
        engine_options(settings));
    p.control->connect(*p.engine);

    rest::Limits limits;
    limits.connections = settings.max_connections;
    limits.idle = ms(settings.idle_timeout);
    limits.request = ms(settings.request_timeout);
    rest::Context context{*p.control, p.registry, p.metrics, version(), {}, {}, {}};
    if (!settings.interface.empty()) {
        context.default_address = [name = settings.interface] { return interface_address(name); };
    }
    context.not_ready = [&p]() -> std::string {
        if (p.stopping) return "gorbd is stopping";
        const health::Suspicion suspicion = p.engine->suspicion();
        return suspicion.frozen ? "weights are frozen: " + suspicion.why : "";
    };
    context.not_healthy = [&p]() -> std::string {
        const uint64_t since = p.control->busy_since();
        if (since == 0 || p.clock.now() < since + control_stuck_after) return "";
        return "the control thread has been busy with one batch for " +
               std::to_string((p.clock.now() - since) / second) + " s";
    };
    auto server = rest::Server::listen(*address, limits, rest::make_api(context));
    if (!server) return base::fail(server.error());
    p.server = std::move(*server);

    // From here on nothing fails but the flush, which comes last so that a daemon that can not start flushes
    // nothing.
    if (settings.flush_on_start) {
        if (auto flushed = table.flush(); !flushed) return base::fail(flushed.error());
        base::log_warning("flushed: every virtual service was removed from the kernel's table");
    }
    for (const auto& loop : p.loops) p.threads.emplace_back([&loop] { loop->run(); });
    p.watchdog = std::make_unique<io::Watchdog>(std::move(watched), settings.blocked_after.count());
    p.control->start();
    p.server->start();

    const base::Endpoint listening = p.server->address();
    base::log_info("listening", {{"address", listening.text()}, {"driver", p.control->driver_info().name}});
    if (!listening.ip.loopback()) {
        base::log_warning(
            "the REST API is open to other hosts and there is NO AUTHENTICATION yet: "
            "keep it to a network you trust",
            {{"address", listening.text()}});
    }
    return std::unique_ptr<Daemon>(new Daemon(std::move(parts)));
}

Daemon::~Daemon() {
    Parts& p = *parts_;
    p.stopping = true;
    p.server->stop();
    p.control->stop();
    p.watchdog.reset();
    for (const auto& loop : p.loops) loop->stop();
    for (std::thread& thread : p.threads) thread.join();
    // The engine's instances belong to the loops, the control's answers to the server: in that order.
    p.server.reset();
    p.engine.reset();
    p.control.reset();
    p.workers.reset();
    p.registry.unload();
}

std::string Daemon::not_alive() const {
    const uint64_t since = parts_->control->busy_since();
    if (since != 0 && parts_->clock.now() > since + control_stuck_after) return "the control thread is stuck";
    const uint64_t rest = parts_->server->loop().busy_since();
    if (rest != 0 && parts_->clock.now() > rest + control_stuck_after) return "the REST server is stuck";
    return "";
}

std::string Daemon::status() const {
    return "REST on " + parts_->server->address().text() +
           ", IPVS table: " + parts_->control->driver_info().name;
}

}  // namespace gorb::app
