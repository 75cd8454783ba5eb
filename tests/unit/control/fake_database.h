// A database that writes when it is told to, or refuses: it remembers what it was given.
#pragma once
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "store/database.h"

namespace gorb::control {

// What outlives the database: the test's view of it.
struct Disk {
    std::mutex mutex;
    bool held = false;  // writes wait for release()
    base::Status answer;
    bool lost = false;
    store::Loaded content;  // given by load()
    std::vector<store::Write> written;
    size_t refused = 0, rewritten = 0;
    size_t refuse_number = 0;  // that write alone, counted from 1; 0: none
    std::deque<std::pair<store::Write, store::Database::Done>> waiting;

    size_t writes() {
        const std::lock_guard lock(mutex);
        return written.size() + refused;
    }
    size_t queued() {
        const std::lock_guard lock(mutex);
        return waiting.size();
    }
    void refuse(const base::Status& with) {
        const std::lock_guard lock(mutex);
        answer = with;
    }
    void hold() {
        const std::lock_guard lock(mutex);
        held = true;
    }
    // Answers what waits, in order, and what comes later at once.
    void release() {
        std::unique_lock lock(mutex);
        held = false;
        while (!waiting.empty()) {
            auto [write, done] = std::move(waiting.front());
            waiting.pop_front();
            take(std::move(write), done, lock);
        }
    }
    // Answers the first that waits, and holds the others.
    void release_first() {
        std::unique_lock lock(mutex);
        auto [write, done] = std::move(waiting.front());
        waiting.pop_front();
        take(std::move(write), done, lock);
    }
    void take(store::Write write, const store::Database::Done& done, std::unique_lock<std::mutex>& lock) {
        const bool chosen = written.size() + refused + 1 == refuse_number;
        const base::Status status = chosen ? base::fail(base::Errc::io, "not this one") : answer;
        if (status) {
            written.push_back(std::move(write));
        } else {
            ++refused;
        }
        lock.unlock();
        done(status);
        lock.lock();
    }
};

class FakeDatabase final : public store::Database {
  public:
    explicit FakeDatabase(Disk& disk) : disk_(&disk) {}

    base::Result<store::Loaded> load() override { return disk_->content; }
    bool work() override { return false; }
    void write(store::Write write, Done done) override {
        std::unique_lock lock(disk_->mutex);
        if (disk_->held) {
            disk_->waiting.emplace_back(std::move(write), std::move(done));
            return;
        }
        disk_->take(std::move(write), done, lock);
    }
    void check_file(Done done) override {
        done(lost() ? base::Status(base::fail(base::Errc::unavailable, "it is lost")) : base::Status{});
    }
    bool lost() const override {
        const std::lock_guard lock(disk_->mutex);
        return disk_->lost;
    }
    void rewrite(store::Loaded all, Done done) override {
        {
            const std::lock_guard lock(disk_->mutex);
            disk_->content = std::move(all);
            disk_->lost = false;
            ++disk_->rewritten;
        }
        done({});
    }
    Status status() const override { return {}; }

  private:
    Disk* disk_;
};

}  // namespace gorb::control
