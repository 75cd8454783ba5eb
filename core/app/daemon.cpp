#include "app/daemon.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>

#include "app/deadline.h"
#include "app/end_of_start.h"
#include "app/installation.h"
#include "app/plugin_options.h"
#include "app/reloader.h"
#include "base/clock.h"
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
#include "store/database.h"

namespace gorb::app {

using base::Result;

namespace {

// What is blocked for so long does not go on by itself.
constexpr uint64_t stuck_after = 30 * base::second;
// For each part of the end: what takes so long is a disk or the kernel that hangs, or a plugin that does not
// return.
constexpr std::chrono::seconds end_limit{10};
constexpr uint64_t end_limit_ns = 10 * base::second;

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

control::Options control_options(const Settings& settings) {
    control::Options options;
    options.release_on_exit = settings.release_on_exit;
    options.force = settings.force;
    options.flush = settings.flush_on_start;
    options.declares = !settings.declared.empty();
    options.reconcile_period_ns = static_cast<uint64_t>(settings.period.count());
    options.repair_drift = settings.drift == Drift::repair;
    options.guard = {settings.guard_share, settings.guard_least};
    return options;
}

// What holds up the end is left as it is.
void leave(const char* part) {
    base::log_error("leaving without what holds up the end", {{"stopping", part}});
    base::flush_log(log_patience);
    std::_Exit(EXIT_FAILURE);
}

std::chrono::milliseconds ms(std::chrono::nanoseconds d) {
    return std::chrono::ceil<std::chrono::milliseconds>(d);
}

// Since when a turn lasts too long, as busy_since() tells.
bool stuck(uint64_t busy_since, uint64_t now, uint64_t limit) {
    return busy_since != 0 && now >= busy_since + limit;
}

}  // namespace

// In the order they are built; destroyed the other way round, after what runs has been stopped.
struct Daemon::Parts {
    Deadline end{end_limit, leave};
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
    std::unique_ptr<ipvs::Driver> own_reader;  // for those who look at the table
    ipvs::Driver* reader = nullptr;
    std::mutex reading;
    uint64_t blocked_after = 0;          // ns: when a loop is
    std::shared_ptr<Reloader> declared;  // null: there are no declarative files

    Parts() = default;
    Parts(const Parts&) = delete;
    Parts& operator=(const Parts&) = delete;
    ~Parts();
    void stop();
    size_t loops_blocked() const;
    // Of the first loop whose turn has taken this long, "" when there is none.
    std::string loop_blocked_for(uint64_t limit) const;
    std::string stuck_control() const;
};

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Daemon>> Daemon::start(const Settings& settings) {
    try {
        return build(settings);
    } catch (const std::system_error& e) {
        if (e.code() != std::errc::resource_unavailable_try_again) throw;
        return base::fail(base::Errc::unavailable,
                          "can not start a thread: " + e.code().message() +
                              "; raise the limit on processes and threads (ulimit "
                              "-u, LimitNPROC= and TasksMax= of systemd, pids.max "
                              "of a cgroup)",
                          EAGAIN);
    }
}

Result<std::unique_ptr<Daemon>> Daemon::build(const Settings& settings) {
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
        base::log_error("plugin refused", {{"file", refused.file.string()}, {"reason", refused.why}});
    }
    for (const plugin::Plugin* found : p.registry.plugins()) {
        base::log_info("plugin loaded", {{"name", found->name},
                                         {"kind", found->kind},
                                         {"version", found->version},
                                         {"file", found->file.string()}});
    }

    auto options = pulse_options(p.registry, settings);
    if (!options) return base::fail(options.error());
    for (const std::string& warning : option_warnings(p.registry, settings)) base::log_warning(warning);

    p.workers = std::make_unique<io::Workers>(settings.workers, settings.worker_queue);
    std::vector<io::Loop*> loops;
    std::vector<const io::Loop*> watched;
    for (unsigned i = 0; i < settings.loops; ++i) {
        p.loops.push_back(std::make_unique<io::Loop>("loop-" + std::to_string(i)));
        loops.push_back(p.loops.back().get());
        watched.push_back(p.loops.back().get());
    }

    std::unique_ptr<store::Database> database;
    if (store_kind(settings) == StoreKind::disk) {
        auto opened = store::open_database(settings.directory);
        if (!opened) return base::fail(opened.error());
        database = std::move(*opened);
    } else {
        base::log_warning(
            "the desired state is in memory only: it is gone when gorbd stops (store = memory)");
    }

    ipvs::Driver& table = **driver;
    p.control = std::make_unique<control::Control>(std::move(*driver), std::move(vips), p.registry,
                                                   control_options(settings), std::move(database));
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
    limits.takes_large = rest::takes_large_body;
    limits.web_origins = settings.web_origins;
    rest::Context context{*p.control, p.registry, p.metrics, version(), {}, {}, {}, {}, settings.web_origins};
    // The kernel's table is read over a socket of its own; the one in memory is there once.
    p.reader = &table;
    if (settings.driver == DriverKind::kernel) {
        auto reader = ipvs::open_netlink_driver();
        if (!reader) return base::fail(reader.error());
        p.own_reader = std::move(*reader);
        p.reader = p.own_reader.get();
    }
    context.read_kernel = [&p] {
        const std::lock_guard lock(p.reading);
        return reconcile::read_table(*p.reader);
    };
    if (!settings.interface.empty()) {
        // It may get one yet.
        if (!interface_address(settings.interface)) {
            base::log_warning(
                "the default interface has no address: a service without one of its own is refused",
                {{"interface", settings.interface}});
        }
        context.default_address = [name = settings.interface] { return interface_address(name); };
    }
    context.not_ready = [&p]() -> std::string {
        if (p.stopping) return "gorbd is stopping";
        const health::Suspicion suspicion = p.engine->suspicion();
        if (suspicion.frozen) return "weights are frozen: " + suspicion.why;
        return p.loop_blocked_for(p.blocked_after);
    };
    context.not_healthy = [&p]() -> std::string {
        if (std::string control = p.stuck_control(); !control.empty()) return control;
        return p.loop_blocked_for(stuck_after);
    };
    p.blocked_after = static_cast<uint64_t>(settings.blocked_after.count());
    context.ending = [&p] { return p.stopping.load(); };
    context.loops_blocked = [&p] { return p.loops_blocked(); };
    auto server = rest::Server::listen(*address, limits, rest::make_api(context));
    if (!server) return base::fail(server.error());
    p.server = std::move(*server);
    control::Control& control = *p.control;
    p.server->between_requests([&control] { control.helps(); },
                               {[&control] { return control.own(); }, [&control] { control.help(); }});

    for (const auto& loop : p.loops) p.threads.emplace_back([&loop] { loop->run(); });
    p.watchdog = std::make_unique<io::Watchdog>(std::move(watched), settings.blocked_after.count());
    if (auto started = p.control->start(); !started) return base::fail(started.error());
    if (!settings.declared.empty()) {
        p.declared = std::make_shared<Reloader>(*p.control, settings);
        p.declared->apply(settings.force);
    }
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

void Daemon::Parts::stop() {
    stopping = true;
    control->believe_no_more();
    end.begin("the REST server");
    server->stop();
    if (declared) declared->close();
    // A change of many, and a large table that is to be removed, take a while, and tell that they come along.
    // Who waits for a disk has no turn, and who waits for the kernel one that lasts.
    end.begin("the control: the disk of the store, or the kernel, does not answer", [this] {
        const uint64_t since = control->busy_since();
        return since != 0 && !stuck(since, clock.now(), end_limit_ns);
    });
    control->stop();
    end.begin("the loops of the checks: a plugin does not return");
    engine->close();
    for (const auto& loop : loops) loop->stop();  // after what was posted before
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    watchdog.reset();  // until here it names a plugin that does not return
}

Daemon::Parts::~Parts() {
    if (!server) return;  // nothing runs
    stop();
    // What the engine has belongs to the loops, the control's answers to the server: in that order.
    end.begin("a large request that is being read, or a long answer that is being written");
    server.reset();
    end.begin("what has been stopped: a plugin does not return");
    engine.reset();
    control.reset();
    workers.reset();
    registry.unload();
}

size_t Daemon::Parts::loops_blocked() const {
    return static_cast<size_t>(std::ranges::count_if(
        loops, [&](const auto& loop) { return stuck(loop->busy_since(), clock.now(), blocked_after); }));
}

std::string Daemon::Parts::loop_blocked_for(uint64_t limit) const {
    for (const auto& loop : loops) {
        const uint64_t since = loop->busy_since();
        const uint64_t now = clock.now();
        if (!stuck(since, now, limit)) continue;
        const char* activity = loop->activity();
        return loop->name() + " does no checks: it has been blocked for " +
               std::to_string((now - since) / base::second) + " s in " +
               (activity ? activity : "gorbd itself");
    }
    return "";
}

std::string Daemon::Parts::stuck_control() const {
    const uint64_t since = control->busy_since();
    const uint64_t now = clock.now();
    if (!stuck(since, now, stuck_after)) return "";
    return "the control has been busy with one turn for " + std::to_string((now - since) / base::second) +
           " s";
}

void Daemon::reload() {
    if (!parts_->declared) {
        base::log_info(
            "SIGHUP: no declarative files are configured, so nothing is read again; settings take effect at "
            "a restart");
        return;
    }
    base::log_info("SIGHUP: the declarative files are read again; settings take effect at a restart");
    parts_->declared->ask();
}

Daemon::~Daemon() = default;

std::string Daemon::not_alive() const {
    if (std::string control = parts_->stuck_control(); !control.empty()) return control;
    if (stuck(parts_->server->loop().busy_since(), parts_->clock.now(), stuck_after))
        return "the REST server is stuck";
    return parts_->loop_blocked_for(stuck_after);
}

std::string Daemon::status() const {
    return "REST on " + parts_->server->address().text() +
           ", IPVS table: " + parts_->control->driver_info().name;
}

}  // namespace gorb::app
