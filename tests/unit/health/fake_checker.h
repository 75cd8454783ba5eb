// A checker that answers what the test says, and sees to it that it is used as the contract demands.
// Threads: answer() and the counts by any thread; one FakeWorld serves the checkers of several loops.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
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
    return {plugin::Verdict::pass, 100, 0, 0, "connected"};
}
inline plugin::Report failing() {
    return {plugin::Verdict::fail, 100, 111, 0, "connection refused"};
}
inline plugin::Report not_known() {
    return {plugin::Verdict::unknown, 100, 24, 0, "too many open files"};
}

class FakeWorld {
  public:
    struct Start {
        std::string backend;
        uint64_t at = 0, deadline = 0;
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
    void refuse_add(std::optional<std::string> sentence) {
        std::lock_guard lock(mutex_);
        refuse_add_ = std::move(sentence);
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
        for (const Start& s : starts_) n += s.backend == backend ? 1 : 0;
        return n;
    }
    void forget_starts() {
        std::lock_guard lock(mutex_);
        starts_.clear();
    }

    std::atomic<int> checkers{0}, makes{0}, adds{0}, removes{0}, running{0}, cancels{0}, probes{0};

    MakeChecker maker();

  private:
    friend class FakeChecker;

    mutable std::mutex mutex_;
    std::map<std::string, std::optional<plugin::Report>> answers_;
    std::optional<plugin::Report> rest_ = passing();
    std::optional<std::string> refuse_add_, refuse_make_;
    std::vector<Start> starts_;
};

class FakeChecker final : public Checker {
  public:
    FakeChecker(FakeWorld& world, io::Loop& loop, OnReport on_report)
        : world_(world), loop_(loop), on_report_(std::move(on_report)) {
        ++world_.checkers;
    }
    ~FakeChecker() override {
        EXPECT_TRUE(mine_.empty()) << "probes were left behind";
        --world_.checkers;
    }

    base::Result<Probe> add(const plugin::ProbeTarget& target) override {
        std::lock_guard lock(world_.mutex_);
        ++world_.adds;
        if (world_.refuse_add_) return base::fail(base::Errc::refused, *world_.refuse_add_, 22);
        auto* mine = new Mine{target.backend, 0};
        mine_.insert(mine);
        ++world_.probes;
        return static_cast<Probe>(mine);
    }
    void remove(Probe probe) override {
        auto* mine = static_cast<Mine*>(probe);
        ASSERT_EQ(mine_.erase(mine), 1U);
        EXPECT_EQ(mine->run, 0U) << "removed while its check runs";
        delete mine;
        ++world_.removes;
        --world_.probes;
    }
    Run start(Probe probe, uint64_t deadline) override {
        auto* mine = static_cast<Mine*>(probe);
        EXPECT_TRUE(mine_.contains(mine));
        EXPECT_EQ(mine->run, 0U) << "two checks in flight";
        const Run run = mine->run = ++last_run_;
        ++world_.running;
        std::optional<plugin::Report> report;
        {
            std::lock_guard lock(world_.mutex_);
            world_.starts_.push_back({mine->backend, loop_.now(), deadline});
            const auto it = world_.answers_.find(mine->backend);
            report = it == world_.answers_.end() ? world_.rest_ : it->second;
        }
        if (report) {
            loop_.post([this, alive = std::weak_ptr<int>(alive_), mine, run, answer = *report] {
                if (alive.expired() || !mine_.contains(mine) || mine->run != run) return;
                mine->run = 0;
                --world_.running;
                on_report_(run, answer);
            });
        }
        return run;
    }
    void cancel(Probe probe, Run run) override {
        auto* mine = static_cast<Mine*>(probe);
        ASSERT_TRUE(mine_.contains(mine));
        EXPECT_EQ(mine->run, run);
        mine->run = 0;
        --world_.running;
        ++world_.cancels;
    }

  private:
    struct Mine {
        std::string backend;
        Run run = 0;  // 0: none
    };

    FakeWorld& world_;
    io::Loop& loop_;
    OnReport on_report_;
    std::set<Mine*> mine_;
    Run last_run_ = 0;
    std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

inline MakeChecker FakeWorld::maker() {
    return [this](const std::string&, io::Loop& loop,
                  Checker::OnReport on_report) -> base::Result<std::unique_ptr<Checker>> {
        ++makes;
        {
            std::lock_guard lock(mutex_);
            if (refuse_make_) return base::fail(base::Errc::unsupported, *refuse_make_);
        }
        return std::make_unique<FakeChecker>(*this, loop, std::move(on_report));
    };
}

}  // namespace gorb::health
