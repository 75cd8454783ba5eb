// A checker that answers what the test says, and sees to it that it is used as the contract demands.
// Threads: answer() and the counts by any thread; one FakeWorld serves the checkers of several loops.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "health/checker.h"

namespace gorb::health {

inline plugin::Report passing() {
    return {plugin::Verdict::pass, 100, 0, 0, "connected", ""};
}
inline plugin::Report failing() {
    return {plugin::Verdict::fail, 100, 111, 0, "connection refused", ""};
}
inline plugin::Report not_known() {
    return {plugin::Verdict::unknown, 100, 24, 0, "too many open files", ""};
}

// As of a pulse that has nothing to say yet.
inline plugin::Report waiting() {
    return {plugin::Verdict::unknown, 100, EINPROGRESS, 0, "no report yet", ""};
}

// An address of its own for each number.
inline base::Endpoint address_of(uint64_t n, uint16_t port = 80) {
    base::Endpoint e;
    e.ip.family = base::Ip::Family::v4;
    e.ip.bytes = {10, static_cast<uint8_t>(n >> 16), static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n)};
    e.port = port;
    return e;
}

// Changes the (first) pulse of a target.
template <class Fn>
void edit_pulse(Target& target, Fn&& fn, size_t index = 0) {
    std::vector<model::PulseSpec> pulses(target.pulses.begin(), target.pulses.end());
    fn(pulses[index]);
    target.pulses = model::PulseList(std::move(pulses));
}

class FakeWorld {
  public:
    struct Start {
        std::string backend;
        uint64_t at = 0, deadline = 0;
        base::Endpoint address;
    };

    // What checks of a backend come to from now on; nothing: no answer ever comes.
    void answer(const std::string& backend, std::optional<plugin::Report> report) {
        std::lock_guard lock(mutex_);
        answers_[backend] = std::move(report);
    }
    // What the backends without an answer of their own get.
    void answer_all(std::optional<plugin::Report> report) {
        std::lock_guard lock(mutex_);
        rest_ = std::move(report);
    }
    // The checker says of checks that are ended that they had not begun.
    std::atomic<bool> workers_busy{false};
    // What a push is answered with; nothing: Errc::unsupported.
    void answer_push(std::optional<base::Status> status) {
        std::lock_guard lock(mutex_);
        push_ = std::move(status);
    }
    std::vector<std::string> pushed() const {
        std::lock_guard lock(mutex_);
        return pushed_;
    }
    // Has the pulse of that backend ask for a check. On the loop's thread, between turns.
    void ask(const std::string& backend) {
        const auto it = asking_.find(backend);
        ASSERT_NE(it, asking_.end());
        it->second();
    }
    // `type`: of that one only.
    void refuse_add(std::optional<std::string> sentence, std::string type = "") {
        std::lock_guard lock(mutex_);
        refuse_add_ = std::move(sentence);
        refused_type_ = std::move(type);
    }
    void refuse_make(std::optional<std::string> sentence) {
        std::lock_guard lock(mutex_);
        refuse_make_ = std::move(sentence);
    }
    std::vector<Start> starts() const {
        std::lock_guard lock(mutex_);
        return starts_;
    }
    size_t starts_of(const std::string& backend) const {
        std::lock_guard lock(mutex_);
        size_t n = 0;
        for (const Start& start : starts_) n += start.backend == backend ? 1 : 0;
        return n;
    }
    // What checks say that come to their deadline; nullopt: nothing.
    void last_words(std::optional<plugin::Report> report) {
        std::lock_guard lock(mutex_);
        last_words_ = std::move(report);
    }
    void forget_starts() {
        std::lock_guard lock(mutex_);
        starts_.clear();
    }

    // Removals and ends of checkers that were not on the thread of their loop.
    std::atomic<int> elsewhere{0};
    std::atomic<int> checkers{0}, makes{0}, adds{0}, removes{0}, running{0}, cancels{0}, probes{0};

    MakeChecker maker();

  private:
    friend class FakeChecker;

    mutable std::mutex mutex_;
    std::map<std::string, std::optional<plugin::Report>> answers_;
    std::optional<plugin::Report> rest_ = passing();
    std::optional<std::string> refuse_add_, refuse_make_;
    std::string refused_type_;
    std::optional<base::Status> push_;
    std::optional<plugin::Report> last_words_;
    std::vector<std::string> pushed_;
    std::map<std::string, std::function<void()>> asking_;
    std::vector<Start> starts_;
};

class FakeChecker final : public Checker {
  public:
    FakeChecker(FakeWorld& world, std::string type, io::Loop& loop, OnReport on_report, OnRecheck on_recheck)
        : world_(world),
          type_(std::move(type)),
          loop_(loop),
          on_report_(std::move(on_report)),
          on_recheck_(std::move(on_recheck)) {
        ++world_.checkers;
    }
    ~FakeChecker() override {
        EXPECT_TRUE(mine_.empty()) << "probes were left behind";
        world_.elsewhere += loop_.on_loop_thread() ? 0 : 1;
        --world_.checkers;
    }

    base::Result<Probe> add(const plugin::ProbeTarget& target, Tag tag) override {
        std::lock_guard lock(world_.mutex_);
        ++world_.adds;
        if (world_.refuse_add_ && (world_.refused_type_.empty() || world_.refused_type_ == type_))
            return base::fail(base::Errc::refused, *world_.refuse_add_, 22);
        auto* mine = new Mine{target.backend, target.address, 0, tag};
        mine_.insert(mine);
        world_.asking_[target.backend] = [this, tag] { on_recheck_(tag); };
        ++world_.probes;
        return static_cast<Probe>(mine);
    }
    void remove(Probe probe) override {
        auto* mine = static_cast<Mine*>(probe);
        ASSERT_EQ(mine_.erase(mine), 1U);
        EXPECT_EQ(mine->run, 0U) << "removed while its check runs";
        delete mine;
        world_.elsewhere += loop_.on_loop_thread() ? 0 : 1;
        ++world_.removes;
        --world_.probes;
    }
    void start(Probe probe, uint64_t deadline) override {
        auto* mine = static_cast<Mine*>(probe);
        EXPECT_TRUE(mine_.contains(mine));
        EXPECT_EQ(mine->run, 0U) << "two checks in flight";
        const uint64_t run = mine->run = ++last_run_;
        ++world_.running;
        std::optional<plugin::Report> report;
        {
            std::lock_guard lock(world_.mutex_);
            world_.starts_.push_back({mine->backend, loop_.now(), deadline, mine->address});
            // "b1" or "b1/http".
            auto it = world_.answers_.find(mine->backend + "/" + type_);
            if (it == world_.answers_.end()) it = world_.answers_.find(mine->backend);
            report = it == world_.answers_.end() ? world_.rest_ : it->second;
        }
        if (report) {
            loop_.post([this, alive = std::weak_ptr<int>(alive_), mine, run, answer = *report] {
                if (alive.expired() || !mine_.contains(mine) || mine->run != run) return;
                mine->run = 0;
                --world_.running;
                on_report_(mine->tag, answer);
            });
        }
    }
    bool cancel(Probe probe) override {
        auto* mine = static_cast<Mine*>(probe);
        EXPECT_TRUE(mine_.contains(mine));
        if (mine->run == 0) return false;
        mine->run = 0;
        --world_.running;
        ++world_.cancels;
        return world_.workers_busy;
    }
    Expired expire(Probe probe) override {
        Expired expired{cancel(probe), {}};
        std::lock_guard lock(world_.mutex_);
        expired.report = world_.last_words_;
        return expired;
    }
    base::Status push(Probe probe, const plugin::PushReport& push) override {
        std::lock_guard lock(world_.mutex_);
        if (!world_.push_ || type_ == "deaf") return base::fail(base::Errc::unsupported, "takes no reports");
        world_.pushed_.push_back(static_cast<Mine*>(probe)->backend + ": " + push.detail);
        return *world_.push_;
    }

  private:
    struct Mine {
        std::string backend;
        base::Endpoint address;
        uint64_t run = 0;  // 0: none
        Tag tag = 0;
    };

    FakeWorld& world_;
    const std::string type_;
    io::Loop& loop_;
    OnReport on_report_;
    OnRecheck on_recheck_;
    std::set<Mine*> mine_;
    uint64_t last_run_ = 0;
    std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

inline MakeChecker FakeWorld::maker() {
    return [this](const std::string& type, io::Loop& loop, Checker::OnReport on_report,
                  Checker::OnRecheck on_recheck) -> base::Result<std::unique_ptr<Checker>> {
        ++makes;
        {
            std::lock_guard lock(mutex_);
            if (refuse_make_) return base::fail(base::Errc::unsupported, *refuse_make_);
        }
        return std::make_unique<FakeChecker>(*this, type, loop, std::move(on_report), std::move(on_recheck));
    };
}

}  // namespace gorb::health
