#include "control/inbox.h"

#include <algorithm>
#include <utility>

namespace gorb::control {

// Is somebody to be woken for what there is? Not during a turn, at whose end it is looked at, and not twice.
bool Inbox::to_wake() {
    if (turning_ || takes(std::this_thread::get_id())) return false;
    own_ = false;
    return !std::exchange(woken_, true);
}

// `put` into the content, and whoever is to take it is woken. false: closed, nothing was put in.
template <class Put>
bool Inbox::fill(bool even_closed, Put&& put) {
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        if (content_.closed && !even_closed) return false;
        std::forward<Put>(put)(content_);
        wake = to_wake();
    }
    if (wake) filled_.notify_one();
    return true;
}

bool Inbox::put(Submitted change) {
    return fill(false, [&](Content& content) { content.changes.push_back(std::move(change)); });
}

bool Inbox::put_own(Submitted change) {
    {
        const std::lock_guard lock(mutex_);
        if (!content_.closed && (untouched() || (own_ && content_.changes.size() < most_own))) {
            content_.changes.push_back(std::move(change));
            own_ = true;
            return true;
        }
    }
    return put(std::move(change));
}

bool Inbox::put(std::function<void()> question) {
    return fill(false, [&](Content& content) { content.questions.push_back(std::move(question)); });
}

void Inbox::put(std::span<const health::Changed> changes) {
    fill(false, [&](Content& content) {
        if (closed_to_health_) return;
        for (const health::Changed& change : changes) content.health.insert_or_assign(change.id, change);
    });
}

void Inbox::put(const health::Suspicion& suspicion) {
    fill(false, [&](Content& content) {
        if (!closed_to_health_) content.suspicion = suspicion;
    });
}

void Inbox::close_to_health() {
    const std::lock_guard lock(mutex_);
    closed_to_health_ = true;
}

void Inbox::reply(std::function<void()> reply) {
    fill(true, [&](Content& content) { content.replies.push_back(std::move(reply)); });
}

void Inbox::close() {
    fill(true, [](Content& content) { content.closed = true; });
}

void Inbox::end() {
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
    }
    filled_.notify_all();
}

bool Inbox::takes(std::thread::id thread) const {
    return helping_ == thread || std::ranges::find(takers_, thread) != takers_.end();
}

// Nobody has anything to do.
bool Inbox::untouched() const {
    return !turning_ && !woken_ && !something();
}

bool Inbox::something() const {
    return (content_.closed && !told_closed_) || !content_.changes.empty() || !content_.questions.empty() ||
           !content_.replies.empty() || content_.suspicion || (!content_.health.empty() && !pausing());
}

bool Inbox::filled() const {
    const std::lock_guard lock(mutex_);
    return something();
}

Inbox::Steady::time_point Inbox::due() const {
    return content_.health.empty() ? until_ : std::min(until_, health_at_);
}

std::optional<Inbox::Content> Inbox::take() {
    std::unique_lock lock(mutex_);
    if (const auto me = std::this_thread::get_id(); !takes(me)) takers_.push_back(me);
    while (!ended_ && (turning_ || (!something() && Steady::now() < due()))) {
        const auto wake = turning_ ? Steady::time_point::max() : due();
        waiting_.push_back(wake);
        woken_ = false;
        if (wake == Steady::time_point::max()) {
            filled_.wait(lock);
        } else {
            filled_.wait_until(lock, wake);
        }
        waiting_.erase(std::ranges::find(waiting_, wake));
    }
    woken_ = false;
    if (ended_) return std::nullopt;
    others_ = others_ || !content_.changes.empty();
    return take_all();
}

size_t Inbox::own() const {
    const std::lock_guard lock(mutex_);
    return own_ ? content_.changes.size() : 0;
}

std::optional<Inbox::Content> Inbox::take_own() {
    const std::lock_guard lock(mutex_);
    // Somebody has taken it, or comes for what he has put in himself.
    if (!std::exchange(own_, false) || !content_.replies.empty()) return std::nullopt;
    others_ = false;
    helping_ = std::this_thread::get_id();
    return take_all();
}

std::optional<Inbox::Content> Inbox::take_more() {
    const std::lock_guard lock(mutex_);
    const bool only_replies = content_.changes.empty() && content_.questions.empty() &&
                              content_.health.empty() && !content_.suspicion && !content_.closed;
    if (turning_ || ended_ || others_ || content_.replies.empty() || !only_replies) return std::nullopt;
    return take_all();
}

void Inbox::leave() {
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        helping_.reset();
        wake = !turning_ && something() && !std::exchange(woken_, true);
    }
    if (wake) filled_.notify_one();
}

Inbox::Content Inbox::take_all() {
    turning_ = true;
    own_ = false;
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

void Inbox::end_turn(uint64_t until, uint64_t now, bool leaves) {
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        turning_ = false;
        until_ = until == 0 ? Steady::time_point::max()
                            : Steady::now() + std::chrono::nanoseconds(until > now ? until - now : 0);
        // Who stays looks for itself; who leaves sees to it that somebody looks in time, but for what the two
        // clocks make of the same instant.
        constexpr std::chrono::milliseconds same{1};
        const auto in_time = [&](Steady::time_point waits) { return waits - same <= due(); };
        wake = leaves && (something() || std::ranges::none_of(waiting_, in_time));
        woken_ = woken_ || wake;
    }
    if (wake) filled_.notify_one();
}

}  // namespace gorb::control
