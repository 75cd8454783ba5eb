#include "io/watchdog.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "base/duration.h"
#include "base/log.h"

namespace gorb::io {
namespace {

std::string milliseconds(uint64_t ns) {
    return base::duration_text(std::chrono::milliseconds(ns / 1'000'000));
}

}  // namespace

Blockage::Seen Blockage::look(uint64_t busy_since, uint64_t now, uint64_t limit) {
    if (told_ != 0 && busy_since != told_) {
        told_ = 0;
        return {Change::goes_on, last_ns_};
    }
    if (busy_since == 0 || now < busy_since || now - busy_since < limit) return {};
    last_ns_ = now - busy_since;
    if (told_ != 0) return {};
    told_ = busy_since;
    return {Change::blocked, last_ns_};
}

Watchdog::Watchdog(const std::vector<const Loop*>& loops, uint64_t limit_ns, bool threaded)
    : limit_(limit_ns) {
    for (const Loop* loop : loops) loops_.push_back({loop, {}});
    if (threaded) thread_ = std::thread([this] { run(); });
}

Watchdog::~Watchdog() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
    }
    ending_changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Watchdog::step() {
    bool any = false;
    for (auto& [loop, blockage] : loops_) {
        const auto since = loop->busy_since();
        const auto seen = blockage.look(since, loop->now(), limit_);
        any = any || blockage.blocked();
        if (seen.change == Blockage::Change::blocked) {
            const char* activity = loop->activity();
            base::log_warning("loop is blocked", {{"loop", loop->name()},
                                                  {"in", activity ? activity : "gorbd itself"},
                                                  {"for", milliseconds(seen.for_ns)}});
        } else if (seen.change == Blockage::Change::goes_on) {
            base::log_warning("loop goes on", {{"loop", loop->name()},
                                               {"was_blocked_for_at_least", milliseconds(seen.for_ns)}});
        }
    }
    blocked_.store(any, std::memory_order_relaxed);
}

void Watchdog::run() {
    pthread_setname_np(pthread_self(), "watchdog");
    const auto period = std::chrono::nanoseconds(std::max<uint64_t>(limit_ / 4, 1'000'000));
    std::unique_lock lock(mutex_);
    while (!ending_changed_.wait_for(lock, period, [&] { return ending_; })) {
        lock.unlock();
        step();
        lock.lock();
    }
}

}  // namespace gorb::io
