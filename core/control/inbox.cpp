#include "control/inbox.h"

#include <algorithm>
#include <utility>

namespace gorb::control {

bool Inbox::put(Submitted change) {
    {
        std::lock_guard lock(mutex_);
        if (content_.closed) return false;
        content_.changes.push_back(std::move(change));
    }
    filled_.notify_one();
    return true;
}

bool Inbox::put(std::function<void()> question) {
    {
        std::lock_guard lock(mutex_);
        if (content_.closed) return false;
        content_.questions.push_back(std::move(question));
    }
    filled_.notify_one();
    return true;
}

void Inbox::put(std::span<const health::Changed> changes) {
    {
        std::lock_guard lock(mutex_);
        if (content_.closed) return;
        for (const health::Changed& change : changes) content_.health.insert_or_assign(change.id, change);
    }
    filled_.notify_one();
}

void Inbox::put(const health::Suspicion& suspicion) {
    {
        std::lock_guard lock(mutex_);
        if (content_.closed) return;
        content_.suspicion = suspicion;
    }
    filled_.notify_one();
}

void Inbox::reply(std::function<void()> reply) {
    {
        std::lock_guard lock(mutex_);
        content_.replies.push_back(std::move(reply));
    }
    filled_.notify_one();
}

void Inbox::close() {
    {
        std::lock_guard lock(mutex_);
        content_.closed = true;
    }
    filled_.notify_one();
}

Inbox::Content Inbox::take(uint64_t until, uint64_t now) {
    using Steady = std::chrono::steady_clock;
    std::unique_lock lock(mutex_);
    const auto pausing = [&] { return !content_.closed && Steady::now() < health_at_; };
    const auto something = [&] {
        return (content_.closed && !told_closed_) || !content_.changes.empty() ||
               !content_.questions.empty() || !content_.replies.empty() || content_.suspicion ||
               (!content_.health.empty() && !pausing());
    };
    const auto end = until == 0 ? Steady::time_point::max()
                                : Steady::now() + std::chrono::nanoseconds(until > now ? until - now : 0);
    while (!something() && Steady::now() < end) {
        const auto wake = content_.health.empty() ? end : std::min(end, health_at_);
        if (wake == Steady::time_point::max()) {
            filled_.wait(lock);
        } else {
            filled_.wait_until(lock, wake);
        }
    }
    Content taken = std::move(content_);
    content_ = Content{};
    content_.closed = told_closed_ = taken.closed;
    if (pausing()) {
        content_.health.swap(taken.health);
    } else if (taken.health.size() >= wave) {
        health_at_ = Steady::now() + pause;
    }
    return taken;
}

}  // namespace gorb::control
