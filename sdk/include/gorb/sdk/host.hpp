// The host as one instance sees it: log, clock, and RAII around its services.
//
// Part of gorb/plugin.hpp. Callbacks given here may throw: the exception ends in the log, never in the host.
// Threads: [loop] unless a member says [any].
#ifndef GORB_SDK_HOST_HPP
#define GORB_SDK_HOST_HPP
#include <gorb/sdk/values.hpp>

#include <functional>
#include <initializer_list>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace gorb::sdk {

struct Field {
    std::string_view key, value;
};

class Host {
  public:
    explicit Host(const gorb_host* c) noexcept
        : c_(c),
          loop_(static_cast<const gorb_loop*>(c->service(c, GORB_SERVICE_LOOP))),
          net_(static_cast<const gorb_net*>(c->service(c, GORB_SERVICE_NET))),
          work_(static_cast<const gorb_work*>(c->service(c, GORB_SERVICE_WORK))),
          metrics_(static_cast<const gorb_metrics*>(c->service(c, GORB_SERVICE_METRICS))),
          thread_(std::this_thread::get_id()) {}
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    const gorb_host* c() const noexcept { return c_; }
    std::string_view version() const noexcept {
        return c_->version ? c_->version : "";
    }                                                      // "gorb 1.4.0" [any]
    uint64_t now() const noexcept { return c_->now(c_); }  // monotonic ns [any]

    // Logging, all [any].
    bool wants(int32_t level) const noexcept { return c_->wants(c_, level); }
    void log(int32_t level, std::string_view message,
             std::initializer_list<Field> fields = {}) const noexcept {
        if (!wants(level)) return;
        constexpr size_t most = 16;
        gorb_field raw[most];
        size_t count = 0;
        for (const Field& field : fields) {
            if (count == most) break;
            raw[count++] = {str(field.key), str(field.value)};
        }
        c_->log(c_, level, str(message), count ? raw : nullptr, count);
    }
    void error(std::string_view m, std::initializer_list<Field> f = {}) const noexcept {
        log(GORB_LOG_ERROR, m, f);
    }
    void warn(std::string_view m, std::initializer_list<Field> f = {}) const noexcept {
        log(GORB_LOG_WARN, m, f);
    }
    void info(std::string_view m, std::initializer_list<Field> f = {}) const noexcept {
        log(GORB_LOG_INFO, m, f);
    }
    void debug(std::string_view m, std::initializer_list<Field> f = {}) const noexcept {
        log(GORB_LOG_DEBUG, m, f);
    }

    // Service tables. Throw Error when this host has none, which refuses the instance when asked in a
    // constructor.
    const gorb_loop& loop() const { return *required(loop_, GORB_SERVICE_LOOP); }
    const gorb_net& net() const { return *required(net_, GORB_SERVICE_NET); }
    const gorb_work& work() const { return *required(work_, GORB_SERVICE_WORK); }
    const gorb_metrics& metrics() const { return *required(metrics_, GORB_SERVICE_METRICS); }

    // Is this the thread on which the instance was made, its loop's? [any]
    bool on_loop() const noexcept { return std::this_thread::get_id() == thread_; }

    // Runs fn on the loop's thread. What has not run when the instance is destroyed is dropped. [any]
    void post(std::function<void()> fn) const {
        std::list<Posted> one;
        one.push_back({this, std::move(fn), {}});
        one.front().self = one.begin();
        Posted* posted = &one.front();
        {
            std::lock_guard<std::mutex> lock(mutex_);
            posts_.splice(posts_.end(), one);
        }
        int32_t rc = loop().post(c_, &Host::run_posted, posted);
        if (rc == 0) return;
        take(posted);
        throw Error("the loop takes no more posts: " + errno_words(rc), -rc);
    }

    // Calls fn; what it throws goes to the log with `where`, and into `words` for who can answer with it.
    // Returns false when it threw. [any]
    template <class F>
    bool guarded(std::string_view where, F&& fn, gorb_error* words = nullptr) const noexcept {
        try {
            std::forward<F>(fn)();
            return true;
        } catch (const std::exception& e) {
            threw(where, e.what(), words);
        } catch (...) {
            threw(where, "something that is no std::exception was thrown", words);
        }
        return false;
    }

  private:
    void threw(std::string_view where, const char* what, gorb_error* words) const noexcept {
        error(what, {{"threw_in", where}});
        explain(words, what);
    }
    struct Posted {
        const Host* host;
        std::function<void()> fn;
        std::list<Posted>::iterator self;
    };
    std::function<void()> take(Posted* posted) const {
        std::list<Posted> out;
        std::lock_guard<std::mutex> lock(mutex_);
        out.splice(out.end(), posts_, posted->self);
        return std::move(out.front().fn);
    }
    static void run_posted(void* arg) noexcept {
        auto* posted = static_cast<Posted*>(arg);
        const Host& host = *posted->host;
        host.guarded("post", [&] { host.take(posted)(); });
    }
    template <class T>
    static const T* required(const T* table, const char* id) {
        if (!table) throw Error(std::string("this host does not offer ") + id, ENOSYS);
        return table;
    }

    const gorb_host* c_;
    const gorb_loop* loop_;
    const gorb_net* net_;
    const gorb_work* work_;
    const gorb_metrics* metrics_;
    const std::thread::id thread_;
    mutable std::mutex mutex_;
    mutable std::list<Posted> posts_;
};

// One timer; set() again replaces the time, the destructor cancels.
class Timer {
  public:
    explicit Timer(const Host& host) : host_(host), loop_(host.loop()) {}
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    void at(uint64_t when_ns, std::function<void()> fn) {
        cancel();
        fn_ = std::move(fn);
        id_ = loop_.at(host_.c(), when_ns, &Timer::fire, this);
        if (id_) return;
        if (!host_.on_loop()) throw Error("a timer can be set on the loop's thread only", EPERM);
        throw Error("the host has no timer left", EAGAIN);
    }
    void after(std::chrono::nanoseconds delay, std::function<void()> fn) {
        at(host_.now() + static_cast<uint64_t>(std::max<int64_t>(delay.count(), 0)), std::move(fn));
    }
    void cancel() noexcept {
        if (id_) loop_.cancel(host_.c(), id_);
        id_ = 0;
    }
    bool armed() const noexcept { return id_ != 0; }

  private:
    static void fire(void* arg) noexcept {
        auto* timer = static_cast<Timer*>(arg);
        const Host& host = timer->host_;
        timer->id_ = 0;
        auto fn = std::move(timer->fn_);  // fn may arm the timer again, or destroy it
        host.guarded("timer", fn);
    }
    const Host& host_;
    const gorb_loop& loop_;
    gorb_timer id_ = 0;
    std::function<void()> fn_;
};

// Interest in one descriptor, forgotten by the destructor. The descriptor stays yours: close it after the
// watch is gone. What its callback throws stops it as well: the descriptor is still ready, and the callback
// would throw again at once, for ever.
class Watch {
  public:
    explicit Watch(const Host& host) : host_(host), loop_(host.loop()) {}
    ~Watch() { stop(); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // events: GORB_READABLE | GORB_WRITABLE. fn may stop, restart or destroy this Watch.
    void start(int fd, uint32_t events, std::function<void(uint32_t events)> fn) {
        stop();
        fn_ = std::make_shared<std::function<void(uint32_t)>>(std::move(fn));
        int32_t rc = loop_.watch(host_.c(), fd, events, &Watch::ready, this);
        if (rc != 0)
            throw Error("descriptor " + std::to_string(fd) + " can not be watched: " + errno_words(rc), -rc);
        fd_ = fd;
    }
    void stop() noexcept {
        if (fd_ >= 0) loop_.watch(host_.c(), fd_, 0, nullptr, nullptr);
        fd_ = -1;
    }

  private:
    static void ready(void* arg, int, uint32_t events) noexcept {
        auto* watch = static_cast<Watch*>(arg);
        const Host& host = watch->host_;
        auto fn = watch->fn_;  // keeps it alive whatever it does to this Watch
        if (host.guarded("watch", [&] { (*fn)(events); })) return;
        if (fn.use_count() > 1) watch->stop();  // else it is another watch by now, or none
    }
    const Host& host_;
    const gorb_loop& loop_;
    int fd_ = -1;
    std::shared_ptr<std::function<void(uint32_t)>> fn_;
};

// run() on a worker thread, then done() on the loop. false: the workers' queue is full, and neither is
// called.
inline bool submit(const Host& host, std::function<void()> run, std::function<void()> done) {
    struct Job {
        const Host& host;
        std::function<void()> run, done;
    };
    auto job = std::make_unique<Job>(Job{host, std::move(run), std::move(done)});
    int32_t rc = host.work().submit(
        host.c(),
        [](void* arg) {
            auto* j = static_cast<Job*>(arg);
            j->host.guarded("worker", j->run);
        },
        [](void* arg) {
            std::unique_ptr<Job> j(static_cast<Job*>(arg));
            j->host.guarded("done", j->done);
        },
        job.get());
    if (rc == -EAGAIN) return false;
    if (rc != 0) throw Error("the host takes no work: " + errno_words(rc), -rc);
    static_cast<void>(job.release());  // done() owns it now
    return true;
}

// Metrics come out as gorb_plugin_<plugin>_<name>. Construct on the loop; add() and set() by any thread.
class Counter {
  public:
    Counter(const Host& host, const char* name, const char* help)
        : host_(host), table_(host.metrics()), id_(table_.counter(host.c(), name, help)) {}
    void add(double by = 1) const noexcept { table_.add(host_.c(), id_, by); }

  private:
    const Host& host_;
    const gorb_metrics& table_;
    uint64_t id_;
};

class Gauge {
  public:
    Gauge(const Host& host, const char* name, const char* help)
        : host_(host), table_(host.metrics()), id_(table_.gauge(host.c(), name, help)) {}
    void set(double to) const noexcept { table_.set(host_.c(), id_, to); }
    void add(double by) const noexcept { table_.add(host_.c(), id_, by); }

  private:
    const Host& host_;
    const gorb_metrics& table_;
    uint64_t id_;
};

}  // namespace gorb::sdk
#endif  // GORB_SDK_HOST_HPP
