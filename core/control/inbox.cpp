#include "control/inbox.h"

#include <chrono>
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
    std::unique_lock lock(mutex_);
    auto something = [&] {
        return (content_.closed && !told_closed_) || !content_.changes.empty() ||
               !content_.questions.empty() || !content_.replies.empty() || !content_.health.empty() ||
               content_.suspicion;
    };
    if (until == 0) {
        filled_.wait(lock, something);
    } else if (until > now) {
        filled_.wait_for(lock, std::chrono::nanoseconds(until - now), something);
    }
    Content taken = std::move(content_);
    content_ = Content{};
    content_.closed = told_closed_ = taken.closed;
    return taken;
}

}  // namespace gorb::control
