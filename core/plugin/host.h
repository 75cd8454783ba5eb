// The host as one instance of a plugin sees it: gorb_host, the tables of gorb.loop/1, gorb.net/1, gorb.work/1
// and gorb.metrics/1, and all that the instance holds through them.
//
// A Host is never freed, only retired: a thread that a plugin forgot may still call into it, and is answered
// with an error instead of reading freed memory. It is a few hundred bytes for each instance that ever was;
// one of which there was none is taken again, since that is tried each second.
//
// Threads: the loop's unless a member says [any].
#pragma once
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/line_limit.h"
#include "base/log.h"
#include "gorb/abi.h"
#include "io/conn.h"
#include "io/loop.h"
#include "io/probe.h"
#include "io/workers.h"
#include "plugin/metrics.h"

namespace gorb::plugin {

// What a plugin is doing on the loop, for the watchdog and for log lines.
enum class Doing : uint8_t {
    create,
    destroy,
    add,
    remove,
    start,
    cancel,
    push,
    event,
    timer,
    post,
    connection,
    done,
    wait,
    count
};

// Takes what a pulse reports.
class Answers {
  public:
    // On the loop's thread, from within the plugin.
    virtual int32_t report(gorb_run run, const gorb_result& result) = 0;
    // On any other thread, under the host's lock; what is taken is told by Host::wake().
    virtual int32_t report_elsewhere(gorb_run run, const gorb_result& result) = 0;
    // On the loop's thread: a check of this run's target is asked for.
    virtual int32_t recheck(gorb_run run) = 0;
    // On the loop's thread: hand on what report_elsewhere() took.
    virtual void deliver() = 0;

  protected:
    ~Answers() = default;
};

class Host final : public gorb_host {
  public:
    // `label` is "pulse-http", `plugin` "http" (for the names of metrics). `answers` lives until retire().
    static Host& make(const std::string& label, const std::string& plugin, io::Loop& loop,
                      io::Workers& workers, Metrics& metrics, Answers& answers);
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    // Calls into the plugin: sets the loop's activity, and turns an exception into a log line. False: it
    // threw.
    template <class Fn>
    bool call(Doing doing, Fn&& fn) {
        const Call here(*this, doing);
        try {
            fn();
            return true;
        } catch (const std::exception& e) {
            threw(doing, e.what());
        } catch (...) {
            threw(doing, "something that is no std::exception");
        }
        return false;
    }
    const std::string& last_exception() const {
        return last_exception_;
    }  // of the last call() that gave false

    // Is this thread inside a call to a plugin on this host's loop? [any]
    bool on_loop() const;
    // Waits until all jobs that were accepted are done, and accepts no more.
    void finish_jobs();
    // Jobs submitted from here on are this probe's, and those that their done() submits; 0: nobody's.
    void set_job_owner(uint32_t owner) { job_owner_ = owner; }
    // A probe of a port that is opened now with this deadline gets no timer of its own; 0: none.
    void set_guarded(uint64_t deadline) { guarded_ = deadline; }
    // Has the newest job of this probe not begun yet? False when it has none.
    bool job_waits(uint32_t owner) const;
    void forget_jobs_of(uint32_t owner) { newest_jobs_.erase(owner); }
    // Releases descriptors' watches, timers, connections and posts. From here on every call is refused.
    void retire();
    // The same where create() gave no instance: make() may take it again.
    void retire_unused();

    // Has deliver() called on the loop. The lock is held. [any]
    void wake();
    std::mutex& mutex() { return mutex_; }
    Metrics& metrics() { return *metrics_; }

    // Writes a line about the plugin, but only the first of its sort: a plugin that is wrong is so many times
    // a second.
    enum class Oddity : uint8_t { verdict, share, result, thread, job };
    void odd(Oddity oddity, const char* what);  // [any]

  private:
    class Call {
      public:
        Call(Host& host, Doing doing);
        ~Call();
        Call(const Call&) = delete;
        Call& operator=(const Call&) = delete;

      private:
        io::Loop& loop_;
        const Host* before_;
        const char* activity_;
    };
    struct Watched {
        void (*fn)(void*, int, uint32_t) = nullptr;
        void* arg = nullptr;
    };
    struct Timer {
        void (*fn)(void*) = nullptr;
        void* arg = nullptr;
        io::TimerId id = 0;  // 0: free
        uint32_t generation = 1;
    };
    struct Posted {
        void (*fn)(void*);
        void* arg;
        uint32_t owner = 0;
    };
    using Begun = std::shared_ptr<std::atomic<bool>>;
    struct Connection;
    friend struct Connection;

    Host(const std::string& label, const std::string& plugin, const std::string& loop_name);
    ~Host() = default;  // of none
    // What retire() takes away.
    void begin(io::Loop& loop, io::Workers& workers, Metrics& metrics, Answers& answers);

    static Host& of(const gorb_host* host) { return *static_cast<Host*>(const_cast<gorb_host*>(host)); }
    void threw(Doing doing, const char* what);
    bool may_write(base::LogLevel level);
    bool refuse_thread(const char* function);
    void drain();
    void run_posted(std::vector<Posted>& posted, Doing doing);

    // gorb_host
    static const void* service_of(const gorb_host* host, const char* id);
    static uint64_t now_of(const gorb_host* host);
    static bool wants_level(const gorb_host* host, int32_t level);
    static void log_line(const gorb_host* host, int32_t level, gorb_str message, const gorb_field* fields,
                         size_t count);
    // gorb.loop/1
    static int32_t loop_watch(const gorb_host* host, int fd, uint32_t events,
                              void (*fn)(void*, int, uint32_t), void* arg);
    static gorb_timer loop_at(const gorb_host* host, uint64_t when, void (*fn)(void*), void* arg);
    static void loop_cancel(const gorb_host* host, gorb_timer timer);
    static int32_t loop_post(const gorb_host* host, void (*fn)(void*), void* arg);
    void on_watched(int fd, uint32_t events);
    void on_timer(uint32_t index);
    // gorb.net/1
    static gorb_conn* net_open(const gorb_host* host, const gorb_conn_options* options,
                               const gorb_conn_events* events, void* arg, gorb_error* error);
    static int32_t net_send(gorb_conn* conn, const void* data, size_t size);
    static void net_close(gorb_conn* conn);
    static int32_t net_tls_peer(gorb_conn* conn, gorb_tls_peer* out);
    static gorb_str net_reason(gorb_conn* conn);
    base::Status open_connection(Connection& connection, const gorb_conn_options& options);
    void drop_connections();
    // gorb.work/1
    static int32_t work_submit(const gorb_host* host, void (*run)(void*), void (*done)(void*), void* arg);
    void run_job(void (*run)(void*), Posted done, const Begun& begun);
    // gorb.metrics/1
    static uint64_t metrics_counter(const gorb_host* host, const char* name, const char* help);
    static uint64_t metrics_gauge(const gorb_host* host, const char* name, const char* help);
    static void metrics_add(const gorb_host* host, uint64_t metric, double by);
    static void metrics_set(const gorb_host* host, uint64_t metric, double to);
    // gorb.pulse/1
    static int32_t pulse_report(const gorb_host* host, gorb_run run, const gorb_result* result);
    int32_t answer(gorb_run run, const gorb_result& result);
    static int32_t pulse_recheck(const gorb_host* host, gorb_run run);

    static const gorb_loop loop_table;
    static const gorb_net net_table;
    static const gorb_work work_table;
    static const gorb_metrics metrics_table;
    static const gorb_pulse_host pulse_table;

    const std::string label_, plugin_, loop_name_;
    std::array<const char*, static_cast<size_t>(Doing::count)> activities_{};
    io::Loop* loop_ = nullptr;  // nullptr once retired; under the lock for other threads
    io::Workers* workers_ = nullptr;
    Answers* answers_ = nullptr;
    std::atomic<const base::Clock*> clock_{nullptr};
    std::atomic<Metrics*> metrics_{nullptr};
    std::atomic<uint32_t> odd_{0};  // a bit for each Oddity told
    std::mutex lines_mutex_;        // plugins log on any thread
    base::LineLimit lines_{100};    // what is wrong with a plugin is so at each check of each target
    std::string last_exception_;
    uint32_t job_owner_ = 0;
    uint64_t guarded_ = 0;
    std::unordered_map<uint32_t, Begun> newest_jobs_;  // by owner

    std::vector<Watched> watched_;  // by descriptor
    std::vector<Timer> timers_;
    std::vector<uint32_t> free_timers_;
    std::vector<std::shared_ptr<Connection>> connections_;  // all that were ever needed at once
    // Taken in turn, so that a stale handle meets a new owner late.
    Connection* first_free_ = nullptr;
    Connection* last_free_ = nullptr;
    std::unique_ptr<io::ProbePool> probes_;  // made when first needed

    std::mutex mutex_;
    std::condition_variable job_done_;
    std::vector<Posted> posted_;  // under mutex_, as is the rest
    std::vector<Posted> jobs_done_;
    size_t jobs_ = 0;  // accepted, and run() has not returned
    bool accepting_ = false;
    bool drain_posted_ = false;
};

}  // namespace gorb::plugin
