// A thread that runs a loop when the loop's own thread is held up by what it does between two turns.
//
// Work that is short as a rule, as a change that a quick disk makes durable, is done soonest by the thread
// that has it: handed to another one, it waits for that to wake, which takes as long as the disk where
// processors sleep deeply. Where the work takes longer than `patience` after all, the loop goes on here until
// it is over.
//
// Threads: one of its own, from start() to the destructor.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "io/loop.h"

namespace gorb::io {

class Relief {
  public:
    static constexpr std::chrono::microseconds patience{1000};

    // Before the loop runs, which must outlive it. `work` is called between two turns where `left` says so.
    Relief(Loop& loop, Loop::Between between);
    ~Relief();  // when the loop runs no more
    Relief(const Relief&) = delete;
    Relief& operator=(const Relief&) = delete;

    // `prepare` is called by the thread first.
    void start(std::function<void()> prepare);

  private:
    void set(std::chrono::nanoseconds after) const;  // 0: never
    void run();

    Loop& loop_;
    int timer_ = -1;
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

}  // namespace gorb::io
