// Where log lines go: a descriptor, without waiting for whoever reads it.
//
// What can be written at once is. What can not, since the pipe, socket or terminal is full, waits in memory,
// in order, for a thread that is there as long as something waits. Beyond `most` bytes lines are lost, and a
// line says how many as soon as there is room again. So a reader that stops (a pager, a journal whose disk
// hangs) stops nobody here (outlet.h). Regular files are always written at once: a disk that hangs holds up
// who logs to a file on it.
//
// Lost, too, are lines that can not be written, since the disk is full or nobody is there to read: they are
// not tried again, and no other line is glued to what was written of one.
//
// Threads: any.
#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace gorb::base {

class LogSink {
  public:
    // The line, with its end, that says that so many were lost.
    using Told = std::string (*)(uint64_t lost);

    // The descriptor stays the caller's.
    LogSink(int fd, Told told, size_t most = size_t{1} << 20);
    // What waits is lost.
    ~LogSink();
    LogSink(const LogSink&) = delete;
    LogSink& operator=(const LogSink&) = delete;

    // A line with its end.
    void write(std::string_view line);
    // Waits until nothing waits any more, but no longer than that. False: something still does.
    bool flush(std::chrono::milliseconds longest);
    uint64_t lost() const;  // lines

    // For pthread_atfork(). The child begins with nothing that waits, which is the parent's to write.
    void before_fork();
    void after_fork_in_parent();
    void after_fork_in_child();

  private:
    struct State;
    std::shared_ptr<State> state_;  // the thread has it too
};

}  // namespace gorb::base
