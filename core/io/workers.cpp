#include "io/workers.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "io/priority.h"

namespace gorb::io {

struct Workers::Impl {
    void work();
    void do_jobs(std::unique_lock<std::mutex>& lock);

    size_t limit = 0, queue = 0;
    const char* name = nullptr;
    Priority priority = Priority::usual;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> jobs;  // under mutex, as is the rest
    std::vector<std::thread> threads;
    size_t running = 0;
    bool ending = false;
};

Workers::Workers(size_t threads, size_t queue, const char* name, Priority priority)
    : impl_(std::make_shared<Impl>()) {
    impl_->limit = threads;
    impl_->queue = queue;
    impl_->name = name;
    impl_->priority = priority;
}

Workers::~Workers() {
    {
        std::lock_guard lock(impl_->mutex);
        impl_->ending = true;
    }
    impl_->changed.notify_all();
    for (auto& thread : impl_->threads) {
        if (thread.get_id() != std::this_thread::get_id()) {
            thread.join();
            continue;
        }
        // A job of ours held the last reference to our owner, and dies: this thread does the rest here, and
        // ends by itself.
        std::unique_lock lock(impl_->mutex);
        impl_->do_jobs(lock);
        thread.detach();
    }
}

void Workers::Impl::do_jobs(std::unique_lock<std::mutex>& lock) {
    while (!jobs.empty()) {
        auto job = std::move(jobs.front());
        jobs.pop_front();
        ++running;
        lock.unlock();
        job();
        job = nullptr;  // what it holds dies outside the lock
        lock.lock();
        --running;
    }
}

void Workers::Impl::work() {
    pthread_setname_np(pthread_self(), name);
    if (priority == Priority::gives_way) give_way();
    std::unique_lock lock(mutex);
    do {
        changed.wait(lock, [&] { return ending || !jobs.empty(); });
        do_jobs(lock);
    } while (!ending);
}

bool Workers::submit(std::function<void()> job) {
    {
        std::lock_guard lock(impl_->mutex);
        // Counted by jobs and not by threads that have woken up: what is accepted does not depend on who is
        // quicker.
        const size_t held = impl_->jobs.size() + impl_->running;
        if (impl_->ending || held >= impl_->limit + impl_->queue) return false;
        if (held >= impl_->threads.size() && impl_->threads.size() < impl_->limit) {
            try {
                impl_->threads.emplace_back([impl = impl_] { impl->work(); });
            } catch (const std::system_error& e) {
                base::log_warning("can not start another worker thread", {{"reason", e.what()}});
                if (impl_->threads.empty()) return false;
            }
        }
        impl_->jobs.push_back(std::move(job));
    }
    impl_->changed.notify_one();
    return true;
}

}  // namespace gorb::io
