// gorb.loop/1 and gorb.work/1: descriptors, timers, posts and jobs of an instance.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "plugin/host.h"

namespace gorb::plugin {

const gorb_loop Host::loop_table = {sizeof(gorb_loop), &loop_watch, &loop_at, &loop_cancel, &loop_post};
const gorb_work Host::work_table = {sizeof(gorb_work), &work_submit};

static_assert(uint32_t{io::readable} == uint32_t{GORB_READABLE} &&
              uint32_t{io::writable} == uint32_t{GORB_WRITABLE});

int32_t Host::loop_watch(const gorb_host* host, int fd, uint32_t events, void (*fn)(void*, int, uint32_t),
                         void* arg) {
    Host& self = of(host);
    if (self.refuse_thread("gorb.loop/1 watch")) return -EPERM;
    const auto index = static_cast<size_t>(fd);
    if (fd < 0) return -EBADF;
    if (events == 0) {
        if (index >= self.watched_.size() || !self.watched_[index].fn) return 0;  // not ours to forget
        self.watched_[index] = {};
        (void)self.loop_->watch(fd, 0, nullptr);
        return 0;
    }
    if (!fn || (events & ~uint32_t{GORB_READABLE | GORB_WRITABLE}) != 0) return -EINVAL;
    // Two words of plain data: the function object needs no memory of its own.
    const auto status =
        self.loop_->watch(fd, events, [&self, fd](uint32_t got) { self.on_watched(fd, got); });
    if (!status) return -(status.error().os_error ? status.error().os_error : EINVAL);
    if (index >= self.watched_.size()) self.watched_.resize(std::max(index + 1, self.watched_.size() * 2));
    self.watched_[index] = {fn, arg};
    return 0;
}

void Host::on_watched(int fd, uint32_t events) {
    const Watched watched = watched_[static_cast<size_t>(fd)];
    if (call(Doing::event, [&] { watched.fn(watched.arg, fd, events); })) return;
    // It is still ready and would throw again at once, for ever.
    Watched& present = watched_[static_cast<size_t>(fd)];
    if (present.fn != watched.fn || present.arg != watched.arg) return;
    present = {};
    (void)loop_->watch(fd, 0, nullptr);
}

gorb_timer Host::loop_at(const gorb_host* host, uint64_t when, void (*fn)(void*), void* arg) {
    Host& self = of(host);
    if (self.refuse_thread("gorb.loop/1 at") || !fn) return 0;
    uint32_t index = 0;
    if (self.free_timers_.empty()) {
        index = static_cast<uint32_t>(self.timers_.size());
        self.timers_.emplace_back();
    } else {
        index = self.free_timers_.back();
        self.free_timers_.pop_back();
    }
    Timer& timer = self.timers_[index];
    timer.fn = fn;
    timer.arg = arg;
    timer.id = self.loop_->at(when, [&self, index] { self.on_timer(index); });
    return uint64_t{timer.generation} << 32 | (index + 1);
}

void Host::on_timer(uint32_t index) {
    const Timer timer = timers_[index];
    timers_[index].id = 0;
    ++timers_[index].generation;
    free_timers_.push_back(index);
    call(Doing::timer, [&] { timer.fn(timer.arg); });
}

void Host::loop_cancel(const gorb_host* host, gorb_timer timer) {
    Host& self = of(host);
    if (timer == 0 || self.refuse_thread("gorb.loop/1 cancel")) return;
    const auto index = static_cast<uint32_t>(timer) - 1;
    if (index >= self.timers_.size()) return;
    Timer& known = self.timers_[index];
    if (known.id == 0 || known.generation != timer >> 32) return;
    self.loop_->cancel(std::exchange(known.id, 0));
    ++known.generation;
    self.free_timers_.push_back(index);
}

int32_t Host::loop_post(const gorb_host* host, void (*fn)(void*), void* arg) {
    if (!fn) return -EINVAL;
    Host& self = of(host);
    std::lock_guard lock(self.mutex_);
    if (!self.loop_) return -ESHUTDOWN;
    self.posted_.push_back({fn, arg, 0});
    self.wake();
    return 0;
}

int32_t Host::work_submit(const gorb_host* host, void (*run)(void*), void (*done)(void*), void* arg) {
    if (!run) return -EINVAL;
    Host& self = of(host);
    if (self.refuse_thread("gorb.work/1 submit")) return -EPERM;
    {
        std::lock_guard lock(self.mutex_);
        if (!self.accepting_) return -ECANCELED;
        ++self.jobs_;
    }
    const uint32_t owner = self.job_owner_;
    const Begun begun = owner ? std::make_shared<std::atomic<bool>>(false) : nullptr;
    if (self.workers_->submit([&self, run, done, arg, owner, begun] {
            self.run_job(run, {done, arg, owner}, begun);
        })) {
        if (owner) self.newest_jobs_[owner] = begun;
        return 0;
    }
    std::lock_guard lock(self.mutex_);
    --self.jobs_;
    return -EAGAIN;
}

// On a worker's thread.
void Host::run_job(void (*run)(void*), Posted done, const Begun& begun) {
    if (begun) begun->store(true, std::memory_order_relaxed);
    try {
        run(done.arg);
    } catch (const std::exception& e) {
        odd(Oddity::job, e.what());
    } catch (...) {
        odd(Oddity::job, "something that is no std::exception");
    }
    std::lock_guard lock(mutex_);
    --jobs_;
    if (done.fn) {
        jobs_done_.push_back(done);
        wake();
    }
    job_done_.notify_all();
}

bool Host::job_waits(uint32_t owner) const {
    const auto it = newest_jobs_.find(owner);
    return it != newest_jobs_.end() && !it->second->load(std::memory_order_relaxed);
}

void Host::finish_jobs() {
    std::vector<Posted> done;
    {
        std::unique_lock lock(mutex_);
        accepting_ = false;
        const char* before = loop_->activity();
        loop_->set_activity(activities_[static_cast<size_t>(Doing::wait)]);
        job_done_.wait(lock, [&] { return jobs_ == 0; });
        loop_->set_activity(before);
        done.swap(jobs_done_);
    }
    run_posted(done, Doing::done);
}

}  // namespace gorb::plugin
