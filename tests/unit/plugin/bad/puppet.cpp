// A pulse that does to its host what the argument `act` says, without the SDK's glue: bare C functions that
// nothing protects. What happened to it is counted in metrics (gorb_plugin_puppet_...), where a test can read
// it.
#include <gorb/abi.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

struct Probe;

struct Self {
    const gorb_host* host;
    const gorb_pulse_host* pulse;
    const gorb_loop* loop;
    const gorb_net* net;
    const gorb_work* work;
    const gorb_metrics* metrics;
    std::vector<std::thread> threads;
    std::set<Probe*> freed_late;  // probes whose memory a leak still points to
    std::vector<int> fds;

    void count(const char* what) const { metrics->add(host, metrics->counter(host, what, "how often"), 1); }
};

struct Probe {
    Self* self;
    std::string act;
    gorb_addr addr;
    uint32_t fwmark;
    gorb_run run = 0;
    gorb_conn* conn = nullptr;
    int fds[2] = {-1, -1};
    gorb_timer timer = 0;

    int32_t report(uint32_t verdict, std::string_view detail, int32_t code = 0) const {
        return report_run(run, verdict, detail, code);
    }
    int32_t report_run(gorb_run r, uint32_t verdict, std::string_view detail, int32_t code = 0) const {
        const gorb_result result = {sizeof(gorb_result),           verdict, 100, code, 0,
                                    {detail.data(), detail.size()}};
        return self->pulse->report(self->host, r, &result);
    }
};

// What a thread that nobody joined still holds when its instance is gone.
std::atomic<const gorb_host*> last_host{nullptr};
std::atomic<const gorb_pulse_host*> last_pulse{nullptr};
std::atomic<gorb_run> last_run{0};

void* create(const gorb_host* host, const gorb_config* config, gorb_error* error) {
    gorb_str text{};
    std::string how = "fine";
    if (config->text(config, "create", &text) == 0) how.assign(text.ptr, text.len);
    const auto service = [&](const char* id) { return host->service(host, id); };
    auto self = std::make_unique<Self>();
    self->host = host;
    self->pulse = static_cast<const gorb_pulse_host*>(service(GORB_KIND_PULSE));
    self->loop = static_cast<const gorb_loop*>(service(GORB_SERVICE_LOOP));
    self->net = static_cast<const gorb_net*>(service(GORB_SERVICE_NET));
    self->work = static_cast<const gorb_work*>(service(GORB_SERVICE_WORK));
    self->metrics = static_cast<const gorb_metrics*>(service(GORB_SERVICE_METRICS));
    if (service("gorb.teapot/1") || service(nullptr)) how = "null";
    if (how == "throw") {
        static int fired;
        fired = 0;
        self->loop->at(
            host, 0, [](void* arg) { ++*static_cast<int*>(arg); }, &fired);  // has to be released
        throw std::runtime_error("the constructor threw");
    }
    if (how == "throw-odd") throw 7;  // NOLINT: that is the point
    if (how == "null") {
        std::snprintf(error->text, sizeof error->text, "create() does not want to");
        return nullptr;
    }
    if (how == "silent") return nullptr;
    if (how == "where") {
        std::snprintf(error->text, sizeof error->text, "not at %p", static_cast<const void*>(host));
        return nullptr;
    }
    last_host = host;
    last_pulse = self->pulse;
    self->count("created");
    return self.release();
}

void destroy(void* p) {
    std::unique_ptr<Self> self(static_cast<Self*>(p));
    self->count("destroyed");
    for (auto& thread : self->threads) thread.join();
    for (const int fd : self->fds) close(fd);
    for (Probe* probe : self->freed_late) delete probe;
}

void* add(void* p, const gorb_target* target, gorb_error* error) {
    auto* self = static_cast<Self*>(p);
    gorb_str act{};
    target->args->text(target->args, "act", &act);
    auto probe = std::make_unique<Probe>();
    probe->self = self;
    probe->act.assign(act.ptr, act.len);
    probe->addr = target->addr;
    probe->fwmark = target->fwmark;
    if (probe->act == "throw-add") throw std::runtime_error("add threw");
    if (probe->act == "refuse-add") {
        std::snprintf(error->text, sizeof error->text, "%.*s/%.*s at port %u is not wanted",
                      static_cast<int>(target->service.len), target->service.ptr,
                      static_cast<int>(target->backend.len), target->backend.ptr, target->addr.port);
        return nullptr;
    }
    return probe.release();
}

void remove_probe(void* p) {
    auto* probe = static_cast<Probe*>(p);
    Self& self = *probe->self;
    self.count("removed");
    if (probe->act == "report-in-remove" && probe->report(GORB_PASS, "too late") == -ESTALE)
        self.count("stale");
    const bool leaks = probe->act == "leak";
    const bool throws = probe->act == "throw-remove";
    if (leaks) {
        self.freed_late.insert(probe);
    } else {
        if (probe->conn) self.net->close(probe->conn);
        self.loop->cancel(self.host, probe->timer);
        for (const int fd : probe->fds) {
            if (fd < 0) continue;
            self.loop->watch(self.host, fd, 0, nullptr, nullptr);
            close(fd);
        }
        delete probe;
    }
    if (throws) throw std::runtime_error("remove threw");
}

void on_leaked(void* p) {
    static_cast<Probe*>(p)->self->count("leaked_called");
}

void make_pair(Probe& probe) {
    if (probe.fds[0] >= 0) return;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, probe.fds) != 0)
        throw std::runtime_error("fd");
    if (write(probe.fds[1], "x", 1) != 1) throw std::runtime_error("write");
}

const gorb_conn_events conn_events = {
    sizeof(gorb_conn_events),
    [](void* arg, gorb_conn* conn) {
        auto& probe = *static_cast<Probe*>(arg);
        if (probe.act == "throw-opened") throw std::runtime_error("opened threw");
        if (probe.act == "echo" || probe.act == "udp") {
            probe.self->net->send(conn, "ping", 4);
            return;
        }
        gorb_tls_peer peer{};
        peer.struct_size = sizeof peer;
        const int32_t shown = probe.self->net->tls_peer(conn, &peer);
        if (probe.act == "tls") {
            const std::string words = std::string(peer.subject.ptr, peer.subject.len) + " " +
                                      std::string(peer.alpn.ptr, peer.alpn.len) +
                                      (peer.verified ? " verified" : " not verified");
            probe.self->net->close(conn);
            probe.conn = nullptr;
            probe.report(GORB_PASS, words, static_cast<int32_t>((peer.not_after - time(nullptr)) / 86400));
            return;
        }
        if (shown == -EINVAL) probe.self->count("no_tls_no_peer");
        probe.report(GORB_PASS, "opened");
        if (probe.act == "connect" || probe.act == "probe" || probe.act == "old-sdk") {
            probe.self->net->close(conn);
            probe.self->net->close(conn);  // once too often
            if (probe.self->net->send(conn, "x", 1) == -ENOTCONN) probe.self->count("closed_is_closed");
            probe.conn = nullptr;
        }
    },
    [](void* arg, gorb_conn*, const uint8_t* data, size_t size) {
        static_cast<Probe*>(arg)->report(GORB_PASS, {reinterpret_cast<const char*>(data), size});
        return size + 100;  // more than there is
    },
    [](void* arg, gorb_conn* conn, int32_t why) {
        auto& probe = *static_cast<Probe*>(arg);
        probe.conn = nullptr;
        const gorb_str reason = probe.self->net->reason(conn);
        const std::string words(reason.ptr, reason.len);
        probe.report(GORB_FAIL, words.empty() ? "closed" : words, why);
    }};

gorb_conn_options conn_options(const Probe& probe, uint64_t deadline) {
    gorb_conn_options options{};
    options.struct_size = sizeof options;
    options.transport = probe.act == "tls"   ? uint32_t{GORB_TLS}
                        : probe.act == "udp" ? uint32_t{GORB_UDP}
                                             : uint32_t{GORB_TCP};
    options.peer = probe.addr;
    options.deadline_ns = deadline;
    if (probe.act == "probe") options.flags = GORB_CONN_PROBE;
    static const std::string ca = getenv("PUPPET_CA") ? getenv("PUPPET_CA") : "";
    if (probe.act == "tls") {
        options.flags = GORB_TLS_VERIFY;
        options.tls_name = {"web.example", 11};
        options.tls_alpn = {"h2", 2};
        options.tls_ca = {ca.data(), ca.size()};
    }
    if (probe.act == "old-sdk") {  // what lies behind an older struct is not the host's to read
        options.struct_size = offsetof(gorb_conn_options, deadline_ns) + sizeof(uint64_t);
        options.interface = {reinterpret_cast<const char*>(8), 1000};
    }
    return options;
}

void start_connection(Probe& probe, uint64_t deadline) {
    Self& self = *probe.self;
    gorb_conn_options options = conn_options(probe, deadline);
    gorb_error error{};
    if (probe.act == "open-nonsense") {
        int refused = 0;
        refused += self.net->open(self.host, nullptr, &conn_events, &probe, &error) == nullptr;
        refused += self.net->open(self.host, &options, nullptr, &probe, &error) == nullptr;
        options.transport = 17;
        refused += self.net->open(self.host, &options, &conn_events, &probe, nullptr) == nullptr;
        options.transport = GORB_TCP;
        options.peer.family = 5;
        refused += self.net->open(self.host, &options, &conn_events, &probe, &error) == nullptr;
        options.struct_size = 8;
        refused += self.net->open(self.host, &options, &conn_events, &probe, &error) == nullptr;
        refused += self.net->send(nullptr, "x", 1) == -EINVAL;
        self.net->close(nullptr);
        probe.report(GORB_PASS, error.text, refused);
        return;
    }
    probe.conn = self.net->open(self.host, &options, &conn_events, &probe, &error);
    if (const int err = errno; !probe.conn) probe.report(GORB_UNKNOWN, error.text, err);
}

void start_odd_report(Probe& probe) {
    Self& self = *probe.self;
    const gorb_host* host = self.host;
    gorb_result result = {sizeof(gorb_result), GORB_PASS, 100, 0, 0, {nullptr, 0}};
    if (probe.act == "verdict") {
        result.verdict = 99;
    } else if (probe.act == "share") {
        result.share = 250;
        result.latency_ns = 12345;
        result.code = -7;
    } else if (probe.act == "detail") {
        static const std::string text = "bad \xff\n" + std::string(248, 'x') + "\xe2\x82\xac cut";
        result.detail = {text.data(), text.size()};
    } else if (probe.act == "small-result") {
        result.struct_size = 8;
        if (self.pulse->report(host, probe.run, &result) == -EINVAL) self.count("refused");
        if (self.pulse->report(host, probe.run, nullptr) == -EINVAL) self.count("refused");
        return;
    } else {  // "no-run": numbers that are no run of ours
        for (const gorb_run run :
             {gorb_run{0}, probe.run + (1U << 24), probe.run + 1, gorb_run{UINT64_MAX}}) {
            if (self.pulse->report(host, run, &result) == -ESTALE) self.count("stale");
        }
        return;
    }
    self.pulse->report(host, probe.run, &result);
}

void refuse_other_thread(Probe& probe) {
    Self& self = *probe.self;
    int refused = 0;
    std::thread([&] {
        refused += self.loop->watch(
                       self.host, 0, GORB_READABLE, [](void*, int, uint32_t) {}, nullptr) == -EPERM;
        refused += self.loop->at(
                       self.host, 0, [](void*) {}, nullptr) == 0;
        self.loop->cancel(self.host, 1);
        const gorb_conn_options options = conn_options(probe, 0);
        gorb_error error{};
        refused += self.net->open(self.host, &options, &conn_events, &probe, &error) == nullptr;
        refused += self.work->submit(
                       self.host, [](void*) {}, nullptr, nullptr) == -EPERM;
        refused += self.host->now(self.host) > 0;
        self.host->log(self.host, GORB_LOG_INFO, {"from a thread", 13}, nullptr, 0);
    }).join();
    probe.report(GORB_PASS, "", refused);
}

void start_leaks(Probe& probe, uint64_t deadline) {
    Self& self = *probe.self;
    make_pair(probe);
    self.fds.push_back(probe.fds[0]);
    self.fds.push_back(probe.fds[1]);
    self.loop->watch(
        self.host, probe.fds[0], GORB_READABLE, [](void* p, int, uint32_t) { on_leaked(p); }, &probe);
    self.loop->at(self.host, self.host->now(self.host) + 1, &on_leaked, &probe);
    self.loop->post(self.host, &on_leaked, &probe);
    self.work->submit(
        self.host, [](void*) {}, [](void* p) { static_cast<Probe*>(p)->self->count("done"); }, &probe);
    start_connection(probe, deadline);
}

void use_loop(Probe& probe) {
    Self& self = *probe.self;
    const gorb_host* host = self.host;
    if (probe.act == "watch") {
        make_pair(probe);
        int nonsense = 0;
        const auto on_event = [](void* p, int fd, uint32_t events) {
            auto& mine = *static_cast<Probe*>(p);
            mine.self->loop->watch(mine.self->host, fd, 0, nullptr, nullptr);
            mine.report(GORB_PASS, fd == mine.fds[0] ? "readable" : "another", static_cast<int32_t>(events));
        };
        nonsense += self.loop->watch(host, -1, GORB_READABLE, on_event, &probe) == -EBADF;
        nonsense += self.loop->watch(host, probe.fds[0], GORB_READABLE, nullptr, &probe) == -EINVAL;
        nonsense += self.loop->watch(host, probe.fds[0], 64, on_event, &probe) == -EINVAL;
        nonsense += self.loop->watch(host, 1 << 28, GORB_READABLE, on_event, &probe) == -EBADF;
        nonsense += self.loop->watch(host, 1 << 28, 0, nullptr, nullptr) == 0;
        nonsense += self.loop->watch(host, probe.fds[0], GORB_READABLE, on_event, &probe) == 0;
        if (nonsense == 6) self.count("nonsense_refused");
    } else if (probe.act == "throw-watch") {
        make_pair(probe);
        const auto on_event = [](void* p, int, uint32_t) {
            static_cast<Probe*>(p)->self->count("events");
            throw std::runtime_error("the event threw");
        };
        self.loop->watch(host, probe.fds[0], GORB_READABLE, on_event, &probe);
    } else if (probe.act == "timer") {
        const gorb_timer gone = self.loop->at(host, 0, &on_leaked, &probe);
        self.loop->cancel(host, gone);
        self.loop->cancel(host, gone);
        self.loop->cancel(host, 0);
        self.loop->cancel(host, UINT64_MAX);
        const auto on_time = [](void* p) { static_cast<Probe*>(p)->report(GORB_PASS, "in time"); };
        probe.timer = self.loop->at(host, host->now(host) + 1'000'000'000, on_time, &probe);
        self.loop->cancel(host, gone);  // must not hit the one that has its place now
    } else if (probe.act == "throw-timer") {
        self.loop->at(
            host, 0, [](void*) { throw std::runtime_error("the timer threw"); }, nullptr);
    } else if (probe.act == "post") {
        self.loop->post(
            host, [](void* p) { static_cast<Probe*>(p)->report(GORB_PASS, "posted"); }, &probe);
    } else if (probe.act == "throw-post") {
        self.loop->post(
            host, [](void*) { throw std::runtime_error("the post threw"); }, nullptr);
    }
}

void start_work(Probe& probe) {
    Self& self = *probe.self;
    const auto run = [](void* p) {
        auto& mine = *static_cast<Probe*>(p);
        if (mine.act == "throw-work") throw std::runtime_error("the job threw");
        mine.report(GORB_PASS, "worked");
    };
    const auto done = [](void* p) { static_cast<Probe*>(p)->self->count("done"); };
    const int32_t rc = self.work->submit(self.host, run, done, &probe);
    if (rc != 0) probe.report(GORB_UNKNOWN, "no worker", rc);
}

void start(void* p, gorb_run run, uint64_t deadline) {
    auto& probe = *static_cast<Probe*>(p);
    Self& self = *probe.self;
    const std::string& act = probe.act;
    probe.run = run;
    last_run = run;
    if (act == "pass") {
        probe.report(GORB_PASS, "fine", 200);
    } else if (act == "fail") {
        probe.report(GORB_FAIL, "not fine", 503);
    } else if (act == "warn") {
        const gorb_result result = {sizeof(gorb_result),  GORB_PASS, 100, 0, 0, {"fine", 4},
                                    {"not for\nlong", 12}};
        self.pulse->report(self.host, run, &result);
    } else if (act == "old-result") {  // of an SDK that has no warning
        gorb_result result = {sizeof(gorb_result), GORB_PASS, 100, 0, 0, {"fine", 4}, {"garbage", 7}};
        result.struct_size = offsetof(gorb_result, warning);
        self.pulse->report(self.host, run, &result);
    } else if (act == "ask") {
        if (self.pulse->recheck(self.host, run) == 0) self.count("asked_early");
        probe.report(GORB_PASS, "fine");
        if (self.pulse->recheck(self.host, run) == 0) self.count("asked");
        if (self.pulse->recheck(self.host, run - (1U << 24)) == -ESTALE) self.count("stale");
    } else if (act == "twice") {
        probe.report(GORB_PASS, "first");
        if (probe.report(GORB_FAIL, "second") == -ESTALE) self.count("stale");
    } else if (act == "throw") {
        throw std::runtime_error("start threw");
    } else if (act == "throw-odd") {
        throw 7;  // NOLINT: that is the point
    } else if (act == "report-and-throw") {
        probe.report(GORB_PASS, "before");
        throw std::runtime_error("start threw");
    } else if (act == "thread") {
        self.threads.emplace_back([probe] { probe.report(GORB_PASS, "from a thread"); });
    } else if (act == "many-threads") {
        for (int i = 0; i < 4; ++i) {
            self.threads.emplace_back([probe] {
                if (probe.report(GORB_PASS, "from one of four") == -ESTALE) probe.self->count("stale");
            });
        }
    } else if (act == "wrong-thread") {
        refuse_other_thread(probe);
    } else if (act == "block") {
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        probe.report(GORB_PASS, "at last");
    } else if (act == "log") {
        const gorb_field fields[] = {{{"a b", 3}, {"x\ny", 3}}, {{nullptr, 5}, {nullptr, 5}}};
        self.host->log(self.host, GORB_LOG_WARN, {"words\xff of a plugin", 18}, fields, 2);
        self.host->log(self.host, 77, {nullptr, 3}, nullptr, 9);
        probe.report(GORB_PASS, self.host->version);
    } else if (act == "leak") {
        start_leaks(probe, deadline);
    } else if (act == "work" || act == "throw-work") {
        start_work(probe);
    } else if (act == "verdict" || act == "share" || act == "detail" || act == "small-result" ||
               act == "no-run") {
        start_odd_report(probe);
    } else if (act == "connect" || act == "echo" || act == "udp" || act == "tls" || act == "throw-opened" ||
               act == "probe" || act == "old-sdk" || act == "open-nonsense") {
        start_connection(probe, deadline);
    } else {
        use_loop(probe);  // also "never", which does nothing
    }
}

void cancel(void* p, gorb_run run) {
    auto& probe = *static_cast<Probe*>(p);
    probe.self->count("cancelled");
    if (probe.report_run(run, GORB_FAIL, "too late") == -ESTALE) probe.self->count("stale");
    if (probe.act == "throw-cancel") throw std::runtime_error("cancel threw");
}

void expire(void* p, gorb_run run) {
    auto& probe = *static_cast<Probe*>(p);
    probe.self->count("expired");
    if (probe.act == "throw-cancel") throw std::runtime_error("expire threw");
    if (probe.act == "silent") return;
    if (probe.report_run(run, GORB_FAIL, "so far") == -ESTALE) probe.self->count("stale");
    if (probe.report_run(run, GORB_FAIL, "again") == -ESTALE) probe.self->count("stale");
}

int32_t push(void* p, const gorb_push* report, gorb_error* error) {
    auto& probe = *static_cast<Probe*>(p);
    if (probe.act == "throw-push") throw std::runtime_error("push threw");
    probe.self->count("pushes");
    if (report->share == 7) {
        std::snprintf(error->text, sizeof error->text, "not seven");
        return -EINVAL;
    }
    if (report->share == 8) {
        std::snprintf(error->text, sizeof error->text, "%zu bytes of detail", report->detail.len);
        return -EINVAL;
    }
    if (probe.run && probe.self->pulse->recheck(probe.self->host, probe.run) == 0) probe.self->count("asked");
    return 0;
}

const gorb_option options[] = {{"create", GORB_TEXT, 0, "fine", nullptr, "what create() does"},
                               {nullptr, 0, 0, nullptr, nullptr, nullptr}};
const gorb_option args[] = {{"act", GORB_TEXT, 0, "never", nullptr, "what start() does"},
                            {nullptr, 0, 0, nullptr, nullptr, nullptr}};
const gorb_pulse_ops ops = {sizeof(gorb_pulse_ops), args,   nullptr, &create, &destroy, &add,
                            &remove_probe,          &start, &cancel, &push,   &expire};
const gorb_plugin plugin = {sizeof(gorb_plugin), GORB_KIND_PULSE, "puppet", "1", "for tests", options, &ops};
const gorb_plugin* const plugins[] = {&plugin, nullptr};

}  // namespace

// Reports the last run from a thread of its own, whether its instance lives or not.
extern "C" GORB_EXPORT int32_t puppet_report_last() {
    int32_t rc = 0;
    std::thread([&] {
        const gorb_result result = {sizeof(gorb_result), GORB_PASS, 100, 0, 0, {"late", 4}};
        rc = last_pulse.load()->report(last_host, last_run, &result);
    }).join();
    return rc;
}

const gorb_entry gorb_plugin_entry = {
    sizeof(gorb_entry), GORB_ABI_MAJOR, 0, "test", plugins, nullptr, nullptr};
