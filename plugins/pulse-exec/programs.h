// All programs that one instance of the pulse runs: at most so many at once, the others wait in their order.
//
// Threads: the loop's.
#pragma once
#include <deque>
#include <functional>
#include <gorb/plugin.hpp>
#include <list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "child.h"
#include "folder.h"

namespace pulse_exec {

// Who wants a program to run.
class Job {
  public:
    // Now it is started. Throws Error when it can not be.
    virtual Program program(int folder) = 0;
    virtual const std::string& file() const = 0;  // its name in the folder
    // It could not be started.
    virtual void refused(const std::string& why, int err) = 0;
    // It ended by itself.
    virtual void ended(const End& end, std::string_view output) = 0;

  protected:
    ~Job() = default;
};

class Programs {
  public:
    Programs(const gorb::sdk::Host& host, const gorb::sdk::Config& options);
    ~Programs();  // kills what runs
    Programs(const Programs&) = delete;
    Programs& operator=(const Programs&) = delete;

    // Starts the job's program, or lets it wait. One of the job's functions is called later, or within, once,
    // unless drop() comes before.
    void run(Job& job);
    // The job is not called any more. Its program, with all processes of its group, is killed.
    void drop(Job& job);

    enum class State { none, waiting, running };
    State state(const Job& job) const;
    // What the running program of a job has written so far.
    std::string_view output(const Job& job) const;

    const gorb::sdk::Host& host() const { return host_; }
    const Folder& folder() const { return folder_; }
    const User* user() const { return user_ ? &*user_ : nullptr; }
    size_t most() const { return most_; }

  private:
    struct Running;

    void start_waiting();
    void start(Job& job);
    void watch(Running& running);
    void look(Running& running);
    void read(Running& running);
    void finish(Running& running);
    void reap_left();
    const Running* find(const Job& job) const;

    const gorb::sdk::Host& host_;
    const Folder folder_;
    const size_t most_;
    std::optional<User> user_;
    Descriptor null_;
    Stack stack_;
    std::list<Running> running_;  // with those that were killed, until they are reaped
    std::deque<Job*> waiting_;
    // Groups of programs that are gone, and of which something may be our child now: (group, when).
    std::vector<std::pair<pid_t, uint64_t>> left_;
    gorb::sdk::Timer reaper_;
    const bool inherits_;
    bool starting_ = false;
};

}  // namespace pulse_exec
