// A database with a thread that does its work, for who only gives it something and waits for the answer.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "store/database.h"

namespace gorb::store {

class Working final : public Database {
  public:
    explicit Working(std::unique_ptr<Database> real) : real_(std::move(real)), thread_([this] { run(); }) {}
    Working(const Working&) = delete;
    Working& operator=(const Working&) = delete;
    ~Working() override {
        wake(true);
        thread_.join();
    }

    base::Result<Loaded> load() override { return real_->load(); }
    bool work() override { return false; }
    void write(Write write, Done done) override {
        real_->write(std::move(write), std::move(done));
        wake();
    }
    void check_file(Done done) override {
        real_->check_file(std::move(done));
        wake();
    }
    bool lost() const override { return real_->lost(); }
    void rewrite(Loaded all, Done done) override {
        real_->rewrite(std::move(all), std::move(done));
        wake();
    }
    Status status() const override { return real_->status(); }

  private:
    void wake(bool last = false) {
        {
            const std::lock_guard lock(mutex_);
            more_ = true;
            ending_ = ending_ || last;
        }
        woken_.notify_one();
    }
    void run() {
        for (bool ending = false; !ending;) {
            {
                std::unique_lock lock(mutex_);
                woken_.wait(lock, [this] { return more_; });
                more_ = false;
                ending = ending_;
            }
            while (real_->work()) {
            }
        }
    }

    std::unique_ptr<Database> real_;
    std::mutex mutex_;
    std::condition_variable woken_;
    bool more_ = false, ending_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace gorb::store
