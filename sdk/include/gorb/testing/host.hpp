// FakeHost: all that gorbd gives to one plugin instance, for tests: real sockets on the loopback, a clock
// that the test moves, and a book of everything the plugin did.
//
// Part of gorb/testing.hpp. Threads: one thread makes it and turns its loop; report(), log(), post() and
// metrics may be called by any, as the contract says.
#ifndef GORB_TESTING_HOST_HPP
#define GORB_TESTING_HOST_HPP
#include <gorb/sdk/accepts.hpp>
#include <gorb/testing/loop.hpp>
#include <gorb/testing/metrics.hpp>
#include <gorb/testing/net.hpp>

#include <condition_variable>
#include <deque>
#include <fstream>
#include <set>
#include <string>

namespace gorb::testing {

struct Report {
    gorb_run run = 0;
    int32_t answer = 0;  // what report() returned: 0, or -ESTALE for a run that was over
    uint32_t verdict = GORB_UNKNOWN;
    uint32_t share = 100;
    int32_t code = 0;
    uint64_t latency_ns = 0;
    std::string detail;
    std::string warning;
};

struct LogLine {
    int32_t level = 0;
    std::string text;
    std::vector<std::pair<std::string, std::string>> fields;
};

// A call into the plugin and how long it took: real time, without what the thread spent waiting for a busy
// processor.
struct Call {
    std::string what;
    std::chrono::nanoseconds took{0};
};

class FakeHost {
  public:
    explicit FakeHost(Clock clock = Clock::manual) : loop_(clock) {
        static_cast<gorb_host&>(c_) = {sizeof(gorb_host), GORB_ABI_MAJOR, GORB_ABI_MINOR, "gorb-fake 1.0.0",
                                       &service,          &now_of,        &wants,         &log};
        c_.self = this;
        loop_table_ = {sizeof(gorb_loop), &loop_watch, &loop_at, &loop_cancel, &loop_post};
        net_table_ = {sizeof(gorb_net), &net_open, &net_send, &net_close, &net_tls_peer, &net_reason};
        work_table_ = {sizeof(gorb_work), &work_submit};
        metrics_table_ = {sizeof(gorb_metrics), &counter, &gauge, &metric_add, &metric_set};
        pulse_table_ = {sizeof(gorb_pulse_host), &report, &recheck};
    }
    ~FakeHost() { finish_work(); }
    FakeHost(const FakeHost&) = delete;
    FakeHost& operator=(const FakeHost&) = delete;

    const gorb_host* c() const { return &c_; }
    FakeLoop& loop() { return loop_; }
    uint64_t now() const { return loop_.now(); }
    // A deadline for start(): `from_now` in this host's clock.
    uint64_t in(std::chrono::nanoseconds from_now) const {
        return now() + static_cast<uint64_t>(from_now.count());
    }

    // ---- faults that a test orders ----
    void without(const std::string& service_id) { missing_.insert(service_id); }  // before create()
    std::string fail_open;    // not empty: the next connections are refused with these words
    int fail_open_errno = 0;  // and this errno
    // An errno: the next connections end with it instead of being made. What our_trouble() knows is told by
    // open(), all else by closed().
    int fail_connect = 0;
    std::string fail_tls;       // not empty: the next TLS handshakes end with -EPROTO and these words
    bool stall_tls = false;     // the next TLS handshakes never end
    int64_t tls_not_after = 0;  // not 0: what tls_peer() says of a certificate's end (Unix seconds)
    size_t most_work = 1000;    // accepted and unfinished jobs; 0: the workers' queue is always full
    bool fail_timers = false;   // at() returns 0
    size_t refused = 0;         // how often one of the last two took effect
    int32_t log_level = GORB_LOG_DEBUG;

    // ---- runs, as the pulse kind has them ----
    // `before`: the run that the same target had before; its recheck() is stale from here on.
    gorb_run begin_run(gorb_run before = 0) {
        std::lock_guard<std::mutex> lock(mutex_);
        newest_runs_.erase(before);
        newest_runs_.insert(++last_run_);
        open_runs_.insert(last_run_);
        return last_run_;
    }
    void forget_run(gorb_run run) {  // its target is gone
        std::lock_guard<std::mutex> lock(mutex_);
        open_runs_.erase(run);
        newest_runs_.erase(run);
    }
    void end_run(gorb_run run) {  // deadline or removal: a report that comes later is stale
        std::lock_guard<std::mutex> lock(mutex_);
        open_runs_.erase(run);
    }
    bool run_open(gorb_run run) const {
        std::lock_guard<std::mutex> lock(mutex_);
        return open_runs_.count(run) != 0;
    }
    // The runs for which recheck() asked for a check at once: of their target's newest, and over. In order.
    std::vector<gorb_run> rechecks() const {
        std::lock_guard<std::mutex> lock(mutex_);
        return rechecks_;
    }
    std::vector<Report> reports() const {  // in the order they came, stale ones too
        std::lock_guard<std::mutex> lock(mutex_);
        return reports_;
    }
    std::vector<Report> reports_of(gorb_run run) const {
        std::vector<Report> out;
        for (const Report& one : reports())
            if (one.run == run) out.push_back(one);
        return out;
    }

    // ---- the book ----
    std::vector<LogLine> logs() const {
        std::lock_guard<std::mutex> lock(mutex_);
        return logs_;
    }
    // Name -> value.
    std::map<std::string, double> metrics() const { return metrics_.values(); }
    // What the plugin did against the contract, one sentence each.
    std::vector<std::string> violations() const {
        std::lock_guard<std::mutex> lock(mutex_);
        return violations_;
    }
    // What the plugin holds now: "2 connections", "1 timer", ... Empty when nothing.
    std::vector<std::string> held() const {
        std::vector<std::string> out;
        auto say = [&](size_t count, const char* what) {
            if (count) out.push_back(std::to_string(count) + " " + what + (count == 1 ? "" : "s"));
        };
        say(conns_, "connection");
        say(timers_.size(), "timer");
        say(watches_.size(), "watched descriptor");
        say(jobs_, "unfinished job");
        return out;
    }
    Call slowest() const { return slowest_; }
    void forget_slowest() { slowest_ = {}; }

    // Makes a call into the plugin and measures it.
    void measured(const char* what, const std::function<void()>& fn) {
        const auto waited = waited_for_cpu();
        const auto begin = std::chrono::steady_clock::now();
        fn();
        std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
        if (took > std::chrono::milliseconds(1)) took -= std::min(took, waited_for_cpu() - waited);
        if (took > slowest_.took) slowest_ = {what, took};
    }

    // Waits (real time, bounded) until all accepted jobs have run and their done() was called; gorbd does the
    // same before destroy(). Returns false when a job still blocks after `limit`.
    bool finish_work(std::chrono::milliseconds limit = std::chrono::seconds(30)) {
        const bool all = loop_.run_until([&] { return jobs_ == 0; }, limit);
        if (!all) return false;
        {
            std::lock_guard<std::mutex> lock(work_mutex_);
            stopping_ = true;
        }
        work_ready_.notify_all();
        for (std::thread& worker : workers_) worker.join();
        workers_.clear();
        stopping_ = false;
        return true;
    }
    // What gorbd does after destroy(): all that the instance still holds is taken away.
    void release() {
        for (Handle& handle : handles_) handle.conn.reset();
        conns_ = 0;
        for (const auto& timer : timers_) loop_.cancel(timer);
        timers_.clear();
        for (int fd : watches_) loop_.watch(fd, 0, nullptr);
        watches_.clear();
        ++generation_;  // posts of the destroyed instance are dropped
    }

  private:
    struct C : gorb_host {
        FakeHost* self = nullptr;
    };
    struct Job {
        void (*run)(void*);
        void (*done)(void*);
        void* arg;
    };

    // What this thread has spent ready to run but not running, as Linux counts it; 0 where it does not.
    static std::chrono::nanoseconds waited_for_cpu() {
        unsigned long long running = 0, waiting = 0;
        std::ifstream("/proc/thread-self/schedstat") >> running >> waiting;
        return std::chrono::nanoseconds(waiting);
    }
    static FakeHost& of(const gorb_host* c) { return *static_cast<const C*>(c)->self; }
    static std::string text(gorb_str s) { return std::string(sdk::view(s)); }
    void violation(const std::string& words) {
        std::lock_guard<std::mutex> lock(mutex_);
        violations_.push_back(words);
    }
    bool on_loop(const char* what) {
        if (loop_.on_thread()) return true;
        violation(std::string(what) + " was called on a thread that is not the loop's");
        return false;
    }

    // -- the host itself
    static const void* service(const gorb_host* c, const char* id) {
        const FakeHost& host = of(c);
        const std::string name = id ? id : "";
        if (host.missing_.count(name)) return nullptr;
        if (name == GORB_SERVICE_LOOP) return &host.loop_table_;
        if (name == GORB_SERVICE_NET) return &host.net_table_;
        if (name == GORB_SERVICE_WORK) return &host.work_table_;
        if (name == GORB_SERVICE_METRICS) return &host.metrics_table_;
        if (name == GORB_KIND_PULSE) return &host.pulse_table_;
        return nullptr;
    }
    static uint64_t now_of(const gorb_host* c) { return of(c).now(); }
    static bool wants(const gorb_host* c, int32_t level) { return level <= of(c).log_level; }
    static void log(const gorb_host* c, int32_t level, gorb_str message, const gorb_field* fields,
                    size_t count) {
        LogLine line{level, text(message), {}};
        for (size_t i = 0; i < count; ++i)
            line.fields.emplace_back(text(fields[i].key), text(fields[i].value));
        std::lock_guard<std::mutex> lock(of(c).mutex_);
        of(c).logs_.push_back(std::move(line));
    }

    // -- gorb.loop/1
    static int32_t loop_watch(const gorb_host* c, int fd, uint32_t events, void (*fn)(void*, int, uint32_t),
                              void* arg) {
        FakeHost& host = of(c);
        if (!host.on_loop("watch()")) return -EPERM;
        if (fd < 0) return -EBADF;
        if (events != 0 && (!fn || (events & ~uint32_t{GORB_READABLE | GORB_WRITABLE}) != 0)) return -EINVAL;
        if (events == 0) host.watches_.erase(fd);
        const int rc = host.loop_.watch(fd, events, [&host, fn, arg, fd](uint32_t ready) {
            host.measured("watch callback", [&] { fn(arg, fd, ready); });
        });
        if (rc == 0 && events) host.watches_.insert(fd);
        return rc;
    }
    static gorb_timer loop_at(const gorb_host* c, uint64_t when, void (*fn)(void*), void* arg) {
        FakeHost& host = of(c);
        if (!host.on_loop("at()") || !fn) return 0;
        if (host.fail_timers) {
            ++host.refused;
            return 0;
        }
        auto id = std::make_shared<gorb_timer>(0);
        *id = host.loop_.at(when, [&host, id, fn, arg] {
            host.timers_.erase(*id);
            host.measured("timer callback", [&] { fn(arg); });
        });
        host.timers_.insert(*id);
        return *id;
    }
    static void loop_cancel(const gorb_host* c, gorb_timer timer) {
        FakeHost& host = of(c);
        if (!host.on_loop("cancel() of a timer")) return;
        if (host.timers_.erase(timer)) host.loop_.cancel(timer);
    }
    static int32_t loop_post(const gorb_host* c, void (*fn)(void*), void* arg) {
        if (!fn) return -EINVAL;
        FakeHost& host = of(c);
        const uint64_t generation = host.generation_;
        host.loop_.post([&host, generation, fn, arg] {
            if (generation == host.generation_) host.measured("posted call", [&] { fn(arg); });
        });
        return 0;
    }

    // -- gorb.net/1
    static gorb_conn* net_open(const gorb_host* c, const gorb_conn_options* options,
                               const gorb_conn_events* events, void* arg, gorb_error* error) {
        FakeHost& host = of(c);
        const auto refuse = [error](const std::string& why, int code) -> gorb_conn* {
            return sdk::explain(error, why), errno = code, nullptr;
        };
        if (!host.on_loop("open()")) return refuse("connections are opened on the loop's thread only", EPERM);
        if (const std::string why = sdk::accepts::unreadable(options, events); !why.empty())
            return host.violation(why), refuse(why, EINVAL);
        if (const std::string why = sdk::accepts::refusal(*options); !why.empty()) return refuse(why, EINVAL);
        if (!host.fail_open.empty()) return refuse(host.fail_open, host.fail_open_errno);
        if (!events->opened || !events->received || !events->closed)
            host.violation("open() was called without opened(), received() or closed()");
        host.handles_.push_back({&host, nullptr, {}, false});
        Handle& handle = host.handles_.back();
        auto conn = std::make_shared<FakeConn>(
            host.loop_, reinterpret_cast<gorb_conn*>(&handle), *options, *events, arg,
            [&handle](const char* what, const std::function<void()>& fn) {
                handle.closing = std::string(what) == "closed";
                handle.host->measured(what, fn);
                handle.closing = false;
            },
            [&handle](const std::string& reason) {
                --handle.host->conns_;
                handle.reason = reason;
                handle.conn.reset();
            });
        const auto trouble = conn->open({host.fail_connect, host.fail_tls, host.stall_tls});
        if (!trouble.words.empty()) return refuse(trouble.words, trouble.error);
        handle.conn = std::move(conn);
        ++host.conns_;
        return reinterpret_cast<gorb_conn*>(&handle);
    }
    static int32_t net_send(gorb_conn* conn, const void* data, size_t size) {
        if (!conn || (!data && size > 0)) return -EINVAL;
        auto found = live(conn, "send()");
        if (!found) return -ENOTCONN;
        if (!found->is_probe()) return found->send(data, size);
        reinterpret_cast<Handle*>(conn)->host->violation("send() was called for a GORB_CONN_PROBE");
        return -ENOTCONN;
    }
    static void net_close(gorb_conn* conn) {
        if (!conn) return;
        if (auto found = live(conn, "close()")) found->close();
    }
    static int32_t net_tls_peer(gorb_conn* conn, gorb_tls_peer* out) {
        if (!conn) return -EINVAL;
        FakeHost& host = *reinterpret_cast<Handle*>(conn)->host;
        if (!out || out->struct_size < sdk::accepts::tls_peer)
            return host.violation("gorb_tls_peer is too small: is struct_size set?"), -EINVAL;
        auto found = live(conn, "tls_peer()");
        if (!found) return -ENOTCONN;
        const int rc = found->tls_peer(*out);
        if (rc == 0 && host.tls_not_after) out->not_after = host.tls_not_after;
        return rc;
    }
    static gorb_str net_reason(gorb_conn* conn) {
        if (!conn) return sdk::str("");
        Handle& handle = *reinterpret_cast<Handle*>(conn);
        if (!handle.host->on_loop("reason()")) return {};
        if (!handle.closing) {
            auto found = live(conn, "reason()");
            handle.reason = found ? found->stage() : "";
        }
        return sdk::str(handle.reason);
    }
    // The connection behind a handle. One that is over is a violation to be written down, not a crash.
    static std::shared_ptr<FakeConn> live(gorb_conn* conn, const char* what) {
        const Handle& handle = *reinterpret_cast<Handle*>(conn);
        if (!handle.host->on_loop(what)) return nullptr;
        if (!handle.conn)
            handle.host->violation(std::string(what) + " was called for a connection that is over");
        return handle.conn;
    }

    // -- gorb.work/1
    static int32_t work_submit(const gorb_host* c, void (*run)(void*), void (*done)(void*), void* arg) {
        if (!run) return -EINVAL;
        FakeHost& host = of(c);
        if (!host.on_loop("submit()")) return -EPERM;
        if (host.jobs_ >= host.most_work) {
            ++host.refused;
            return -EAGAIN;
        }
        ++host.jobs_;
        {
            std::lock_guard<std::mutex> lock(host.work_mutex_);
            host.queue_.push_back({run, done, arg});
        }
        if (host.workers_.size() < 64) host.workers_.emplace_back([&host] { host.work(); });
        host.work_ready_.notify_one();
        return 0;
    }
    void work() {
        for (;;) {
            Job job{};
            {
                std::unique_lock<std::mutex> lock(work_mutex_);
                work_ready_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
                if (queue_.empty()) return;
                job = queue_.front();
                queue_.pop_front();
            }
            job.run(job.arg);
            loop_.post([this, job] {
                if (job.done) measured("done callback", [&] { job.done(job.arg); });
                --jobs_;
            });
        }
    }

    // -- gorb.metrics/1
    uint64_t metric(const char* name, bool is_counter) {
        const std::string wanted = name ? name : "";
        if (FakeMetrics::good_name(wanted)) return metrics_.id(wanted, is_counter);
        return violation("\"" + wanted + "\" is no name for a metric"), 0;
    }
    static uint64_t counter(const gorb_host* c, const char* name, const char*) {
        return of(c).metric(name, true);
    }
    static uint64_t gauge(const gorb_host* c, const char* name, const char*) {
        return of(c).metric(name, false);
    }
    static void metric_add(const gorb_host* c, uint64_t id, double by) { of(c).metrics_.add(id, by); }
    static void metric_set(const gorb_host* c, uint64_t id, double to) { of(c).metrics_.set(id, to); }

    // -- the pulse kind
    static int32_t report(const gorb_host* c, gorb_run run, const gorb_result* result) {
        FakeHost& host = of(c);
        if (!result || result->struct_size < sdk::accepts::result) {
            host.violation("gorb_result is too small: is struct_size set?");
            const std::string why = "reported a gorb_result that is too small: is struct_size set?";
            const gorb_result instead = {sizeof instead, GORB_UNKNOWN, 100, EINVAL, 0, sdk::str(why), {}};
            return report(c, run, &instead), -EINVAL;  // as gorbd does: the deadline would blame the target
        }
        Report copy{run,
                    0,
                    result->verdict,
                    result->share,
                    result->code,
                    result->latency_ns,
                    text(result->detail),
                    GORB_HAS(gorb_result, result, warning) ? text(result->warning) : ""};
        {
            std::lock_guard<std::mutex> lock(host.mutex_);
            if (host.open_runs_.erase(run) == 0) copy.answer = -ESTALE;
            if (run == 0 || run > host.last_run_)
                host.violations_.push_back("a report came for run " + std::to_string(run) +
                                           ", which was never started");
            if (copy.verdict > GORB_FAIL)
                host.violations_.push_back(std::to_string(copy.verdict) + " is no verdict");
            if (copy.share > 100)
                host.violations_.push_back(std::to_string(copy.share) +
                                           " is no share, which is 0 to 100 per cent");
            host.reports_.push_back(copy);
        }
        host.loop_.wake();
        return copy.answer;
    }

    static int32_t recheck(const gorb_host* c, gorb_run run) {
        FakeHost& host = of(c);
        if (!host.on_loop("recheck()")) return -EPERM;
        std::lock_guard<std::mutex> lock(host.mutex_);
        if (host.newest_runs_.count(run) == 0) return -ESTALE;
        if (host.open_runs_.count(run) == 0) host.rechecks_.push_back(run);
        return 0;
    }

    struct Handle {  // what a gorb_conn points to; kept as long as the host
        FakeHost* host;
        std::shared_ptr<FakeConn> conn;
        std::string reason;
        bool closing;  // closed() is being called
    };

    C c_{};
    gorb_loop loop_table_{};
    gorb_net net_table_{};
    gorb_work work_table_{};
    gorb_metrics metrics_table_{};
    gorb_pulse_host pulse_table_{};
    FakeLoop loop_;
    Call slowest_;
    std::set<std::string> missing_;
    // of the loop's thread
    std::deque<Handle> handles_;
    size_t conns_ = 0;
    std::set<gorb_timer> timers_;
    std::set<int> watches_;
    size_t jobs_ = 0;
    std::atomic<uint64_t> generation_{0};
    // of anyone
    mutable std::mutex mutex_;
    std::set<gorb_run> open_runs_, newest_runs_;
    std::vector<gorb_run> rechecks_;
    gorb_run last_run_ = 0;
    std::vector<Report> reports_;
    std::vector<LogLine> logs_;
    FakeMetrics metrics_;
    std::vector<std::string> violations_;
    std::mutex work_mutex_;
    std::condition_variable work_ready_;
    std::deque<Job> queue_;
    bool stopping_ = false;
    std::vector<std::thread> workers_;
};

}  // namespace gorb::testing
#endif  // GORB_TESTING_HOST_HPP
