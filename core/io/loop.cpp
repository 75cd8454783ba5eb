#include "io/loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "io/socket_pool.h"
#include "io/timer_wheel.h"

namespace gorb::io {
namespace {

const base::SystemClock system_clock;

constexpr int events_a_turn = 128;  // then timers and posts again: a burst makes nothing late
// A turn so long after its time was held up, by a callback or with the whole process. More may have come
// meanwhile than one fetch brings: that is taken first, for at most `catching_up`.
constexpr uint64_t held_up = 50'000'000, catching_up = 100'000'000;  // ns

uint32_t to_epoll(uint32_t events) {
    return (events & readable ? uint32_t{EPOLLIN} : 0U) | (events & writable ? uint32_t{EPOLLOUT} : 0U);
}

base::Error failed(const char* what, int fd, int error) {
    return {base::Errc::io,
            std::string(what) + " " + std::to_string(fd) + ": " + std::strerror(error),
            {},
            error};
}

}  // namespace

struct Loop::Impl {
    // What is known of one descriptor number. The generation goes to the kernel and comes back with each
    // event, so an event fetched before a change does not reach who came after it.
    struct Watched {
        // Most are watched by edges: those have no more than a pointer here.
        std::unique_ptr<std::function<void(uint32_t)>> fn;
        EdgeFn edge = nullptr;  // this one instead of fn
        void* arg = nullptr;
        uint32_t generation = 0;
        uint32_t events = 0;  // of epoll; 0: not watched
    };

    explicit Impl(uint64_t now) : wheel(now) {}

    base::Result<Watched*> add(int fd, uint32_t epoll_events);
    bool leave(int fd);
    base::Status forget(int fd);
    void wake_if(bool sleeping_now);
    void work_between();
    bool take_posts();
    int wait(int timeout_ms);
    int timeout_ms(uint64_t now);
    uint64_t first_due(uint64_t now) const;
    bool dispatch(int count);
    bool take_events(int count, uint64_t due, const base::Clock& clock);

    std::unique_ptr<SocketPool> sockets;
    int epoll_fd = -1, wake_fd = -1;
    std::vector<Watched> fds;
    TimerWheel wheel;
    uint64_t turn_now = 0;  // 0 outside a turn
    uint64_t turns = 0;
    std::array<epoll_event, events_a_turn> ready{};

    std::mutex role;  // held by who runs the loop, while he does
    Between between;

    std::mutex mutex;
    bool away = false;                          // under mutex: run() is at work between two turns
    bool standing_in = false;                   // under role
    std::vector<std::function<void()>> posted;  // under mutex
    bool sleeping = false;                      // under mutex: the loop is in epoll_wait, or about to be
    bool stopping = false;                      // under mutex
    std::vector<std::function<void()>> running;
    std::atomic<std::thread::id> thread{};
};

Loop::Loop(std::string name, const base::Clock* clock)
    : clock_(clock ? clock : &system_clock), name_(std::move(name)) {
    impl_ = std::make_unique<Impl>(clock_->now());
    impl_->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    GORB_CHECK(impl_->epoll_fd >= 0);
    impl_->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    GORB_CHECK(impl_->wake_fd >= 0);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = static_cast<uint32_t>(impl_->wake_fd);
    GORB_CHECK(epoll_ctl(impl_->epoll_fd, EPOLL_CTL_ADD, impl_->wake_fd, &event) == 0);
}

Loop::~Loop() {
    stop();
    impl_->sockets.reset();
    // The captures of what never ran may call cancel() or watch() as they die: the rest must still stand.
    {
        auto fds = std::move(impl_->fds);
        impl_->fds.clear();
        auto timers = impl_->wheel.clear();
        auto posted = std::move(impl_->posted);
    }
    ::close(impl_->wake_fd);
    ::close(impl_->epoll_fd);
}

base::Result<Loop::Impl::Watched*> Loop::Impl::add(int fd, uint32_t epoll_events) {
    const auto index = static_cast<size_t>(fd);
    const bool known = index < fds.size() && fds[index].events != 0;
    uint32_t generation = index < fds.size() ? fds[index].generation + 1 : 1;
    if (generation == 0) generation = 1;  // 0 is the wake-up's
    epoll_event event{};
    event.events = epoll_events;
    event.data.u64 = uint64_t{generation} << 32 | static_cast<uint32_t>(fd);
    // Somebody may have closed a descriptor without a word, or left one in here through a copy: the other way
    // then.
    if (epoll_ctl(epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
        const int other = known && errno == ENOENT    ? EPOLL_CTL_ADD
                          : !known && errno == EEXIST ? EPOLL_CTL_MOD
                                                      : 0;
        if (other == 0 || epoll_ctl(epoll_fd, other, fd, &event) != 0) {
            return base::fail(failed("can not watch descriptor", fd, errno));
        }
    }
    if (index >= fds.size()) fds.resize(index + 1);
    Watched& watched = fds[index];
    watched.generation = generation;
    watched.events = epoll_events;
    watched.edge = nullptr;
    return &watched;
}

// Whether it was watched.
bool Loop::Impl::leave(int fd) {
    const auto index = static_cast<size_t>(fd);
    if (index >= fds.size() || fds[index].events == 0) return false;
    fds[index].events = 0;
    ++fds[index].generation;
    if (fds[index].fn) const auto dying = std::exchange(fds[index].fn, nullptr);
    return true;
}

base::Status Loop::Impl::forget(int fd) {
    // Fails only when it has been closed too early, and then the kernel has forgotten it as well.
    if (leave(fd)) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, nullptr);
    return {};
}

base::Status Loop::watch(int fd, uint32_t events, std::function<void(uint32_t)> fn) {
    if (fd < 0) return base::fail(failed("can not watch descriptor", fd, EBADF));
    events &= readable | writable;
    if (events == 0) return impl_->forget(fd);
    auto watched = impl_->add(fd, to_epoll(events));
    if (!watched) return base::fail(std::move(watched.error()));
    // The old one dies when we return.
    const auto dying =
        std::exchange((*watched)->fn, std::make_unique<std::function<void(uint32_t)>>(std::move(fn)));
    return {};
}

base::Status Loop::watch_edges(int fd, uint32_t epoll_events, EdgeFn fn, void* arg) {
    if (fd < 0) return base::fail(failed("can not watch descriptor", fd, EBADF));
    auto watched = impl_->add(fd, epoll_events | EPOLLET);
    if (!watched) return base::fail(std::move(watched.error()));
    const auto dying = std::exchange((*watched)->fn, nullptr);
    (*watched)->edge = fn;
    (*watched)->arg = arg;
    return {};
}

void Loop::hand_edges(int fd, EdgeFn fn, void* arg) {
    const auto index = static_cast<size_t>(fd);
    GORB_CHECK(index < impl_->fds.size() && impl_->fds[index].edge != nullptr);
    impl_->fds[index].edge = fn;
    impl_->fds[index].arg = arg;
}

// A child that was forked this moment may hold a copy until its exec: events of that one find another
// generation here.
void Loop::close(int fd) {
    if (fd < 0) return;
    impl_->leave(fd);
    ::close(fd);
}

SocketPool& Loop::sockets() {
    if (!impl_->sockets) impl_->sockets = std::make_unique<SocketPool>(*this);
    return *impl_->sockets;
}

uint64_t Loop::turn() const {
    return impl_->turns;
}

uint64_t Loop::fetched_at() const {
    return impl_->turn_now ? impl_->turn_now : now();
}

TimerId Loop::at(uint64_t when, std::function<void()> fn) {
    // The clock is asked only where the answer matters.
    const bool soon = impl_->turn_now == 0 || when < impl_->turn_now + TimerWheel::slot_ns;
    return impl_->wheel.insert(when, soon && when <= clock_->now(), std::move(fn));
}

void Loop::cancel(TimerId timer) {
    impl_->wheel.cancel(timer);
}

void Loop::Impl::wake_if(bool sleeping_now) {
    if (!sleeping_now) return;
    const uint64_t one = 1;
    // Fails only when the counter is full, and then the loop is being woken already.
    [[maybe_unused]] const auto written = write(wake_fd, &one, sizeof one);
}

void Loop::post(std::function<void()> fn) {
    bool wake = false;
    {
        std::lock_guard lock(impl_->mutex);
        if (impl_->stopping) return;
        impl_->posted.push_back(std::move(fn));
        wake = std::exchange(impl_->sleeping, false);  // the next one need not wake it again
    }
    impl_->wake_if(wake);
}

void Loop::stop() {
    bool wake = false;
    {
        std::lock_guard lock(impl_->mutex);
        impl_->stopping = true;
        wake = std::exchange(impl_->sleeping, false);
    }
    impl_->wake_if(wake);
}

bool Loop::on_loop_thread() const {
    return impl_->thread.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

bool Loop::Impl::take_posts() {
    {
        std::lock_guard lock(mutex);
        sleeping = false;
        if (posted.empty()) return false;
        running.swap(posted);
    }
    for (auto& fn : running) {
        fn();
        fn = nullptr;  // what it holds goes before the next one runs
    }
    running.clear();
    return true;
}

int Loop::Impl::timeout_ms(uint64_t now) {
    const auto next = wheel.next();
    if (!next) return -1;
    if (*next <= now) return 0;
    return static_cast<int>((*next - now + 999'999) / 1'000'000);
}

// When the next timer is due; a time that never comes where there is none.
uint64_t Loop::Impl::first_due(uint64_t now) const {
    const auto next = wheel.next();
    if (!next) return std::numeric_limits<uint64_t>::max();
    return *next != 0 ? *next : now;
}

int Loop::Impl::wait(int timeout) {
    if (timeout != 0) {
        std::lock_guard lock(mutex);
        // Who stands in does not wait when the loop's thread is back.
        if (posted.empty() && !stopping && (away || !standing_in)) {
            sleeping = true;
        } else {
            timeout = 0;
        }
    }
    int count = epoll_wait(epoll_fd, ready.data(), events_a_turn, timeout);
    // A process that was stopped and goes on is told this instead of what has come meanwhile.
    if (count < 0 && errno == EINTR) count = epoll_wait(epoll_fd, ready.data(), events_a_turn, 0);
    return std::max(0, count);
}

bool Loop::Impl::dispatch(int count) {
    bool any = false;
    for (int i = 0; i < count; ++i) {
        const uint64_t data = ready[i].data.u64;
        const auto fd = static_cast<uint32_t>(data);
        const auto generation = static_cast<uint32_t>(data >> 32);
        if (generation == 0) {  // the wake-up; no watched descriptor has this one
            uint64_t value = 0;
            [[maybe_unused]] const auto size = read(wake_fd, &value, sizeof value);
            continue;
        }
        if (fd >= fds.size() || fds[fd].generation != generation || fds[fd].events == 0) continue;
        const uint32_t got = ready[i].events;
        if (const EdgeFn edge = fds[fd].edge) {
            edge(fds[fd].arg, got);
            any = true;
            continue;
        }
        uint32_t events = (got & EPOLLIN ? readable : 0U) | (got & EPOLLOUT ? writable : 0U);
        if (got & (EPOLLERR | EPOLLHUP)) events = readable | writable;
        if (events == 0) continue;
        any = true;
        // It may forget or replace itself and make the table move: it runs from here.
        auto fn = std::move(fds[fd].fn);
        (*fn)(events);
        if (fd < fds.size() && fds[fd].generation == generation) fds[fd].fn = std::move(fn);
    }
    return any;
}

// What was fetched, and more after a time in which nobody did. What has come goes before what is due: a late
// turn must not hide an answer that came in time.
bool Loop::Impl::take_events(int count, uint64_t due, const base::Clock& clock) {
    bool any = dispatch(count);
    if (turn_now <= due || turn_now - due <= held_up) return any;
    // Once more in any case: what was fetched may be from before.
    for (size_t most = fds.size() / events_a_turn + 1; most > 0; --most) {
        count = wait(0);
        ++turns;
        any = dispatch(count) || any;
        if (count < events_a_turn || clock.now() - turn_now > catching_up) break;
    }
    return any;
}

void Loop::between_turns(Between between) {
    impl_->between = std::move(between);
}

void Loop::run() {
    pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
    std::unique_lock role(impl_->role);
    impl_->thread = std::this_thread::get_id();
    for (bool going = true; going;) {
        going = turn_once(true);
        if (!impl_->between.left) continue;
        going = going && gather();
        if (impl_->between.left() == 0) continue;
        impl_->thread = std::thread::id{};
        role.unlock();
        impl_->work_between();
        role.lock();
        impl_->thread = std::this_thread::get_id();
        const std::lock_guard lock(impl_->mutex);
        going = going && !impl_->stopping;
    }
    impl_->thread = std::thread::id{};
}

// Turns that do not wait, while they bring more of what is done between turns.
bool Loop::gather() {
    bool going = true;
    for (size_t before = 0, now = impl_->between.left(); going && now > before; now = impl_->between.left()) {
        before = now;
        going = turn_once(false);
    }
    return going;
}

void Loop::Impl::work_between() {
    {
        const std::lock_guard lock(mutex);
        away = true;
    }
    between.work();
    bool wake = false;
    {
        const std::lock_guard lock(mutex);
        away = false;
        wake = std::exchange(sleeping, false);  // of who stands in
    }
    wake_if(wake);
}

void Loop::stand_in() {
    const std::lock_guard role(impl_->role);
    impl_->standing_in = true;
    impl_->thread = std::this_thread::get_id();
    const auto wanted = [this] {
        const std::lock_guard lock(impl_->mutex);
        return impl_->away && !impl_->stopping;
    };
    while (wanted() && turn_once(true)) {
    }
    impl_->thread = std::thread::id{};
    impl_->standing_in = false;
}

void Loop::wait_over() {
    const std::lock_guard role(impl_->role);
}

// false: it was the last.
bool Loop::turn_once(bool waits) {
    const uint64_t before = clock_->now();
    const int timeout = waits ? impl_->timeout_ms(before) : 0;
    const uint64_t due = impl_->first_due(before);
    const int count = impl_->wait(timeout);
    ++impl_->turns;
    impl_->turn_now = clock_->now();
    busy_since_.store(impl_->turn_now, std::memory_order_relaxed);
    bool going = false;
    {
        std::lock_guard lock(impl_->mutex);
        going = !impl_->stopping;
    }
    impl_->take_posts();  // also those posted just before stop()
    if (going) {
        impl_->wheel.collect(impl_->turn_now);
        impl_->take_events(count, due, *clock_);
        for (auto fn = impl_->wheel.fire(); fn; fn = impl_->wheel.fire()) fn();
    }
    impl_->turn_now = 0;
    busy_since_.store(0, std::memory_order_relaxed);
    return going;
}

bool Loop::step() {
    const auto before = impl_->thread.exchange(std::this_thread::get_id());
    const uint64_t due = impl_->first_due(clock_->now());
    const int count = impl_->wait(0);
    ++impl_->turns;
    impl_->turn_now = clock_->now();
    busy_since_.store(impl_->turn_now, std::memory_order_relaxed);
    bool any = impl_->take_posts();
    impl_->wheel.collect(impl_->turn_now);
    any = impl_->take_events(count, due, *clock_) || any;
    for (auto fn = impl_->wheel.fire(); fn; fn = impl_->wheel.fire()) {
        fn();
        any = true;
    }
    impl_->turn_now = 0;
    busy_since_.store(0, std::memory_order_relaxed);
    impl_->thread = before;
    return any;
}

}  // namespace gorb::io
