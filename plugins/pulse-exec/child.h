// Starts a program in a process of its own, and ends it. No shell, no fork(): the child borrows this
// process's memory until it execs (as vfork() does), so the cost does not grow with the size of gorbd.
//
// What the child has of us: nothing but standard input (/dev/null), one pipe as standard output and error,
// and, for a script, the descriptor 3 of the folder, since its interpreter opens it by that. No other
// descriptor, no signal mask or disposition, no ambient capability, no way to more privileges (no_new_privs),
// at most 1024 descriptors. It leads a session and a process group, and is killed when the thread that
// started it ends.
//
// Threads: each function on any thread, one at a time for each Stack.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "output.h"
#include "owned.h"

namespace pulse_exec {

// The user a program runs as.
struct User {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;

    // Throws Error when there is no such user. Asks the system's databases, so it may block.
    static User find(const std::string& name);
};

// Where a child runs until it execs.
class Stack {
  public:
    Stack();  // throws Error
    ~Stack();
    Stack(const Stack&) = delete;
    Stack& operator=(const Stack&) = delete;
    void* top() const;

  private:
    void* memory_;
};

struct Program {
    int folder = -1;                       // as Folder::open() gives it
    std::string name;                      // in the folder
    std::vector<std::string> arguments;    // the first is what the program knows itself by
    std::vector<std::string> environment;  // NAME=value
    const User* user = nullptr;            // nullptr: as this process
};

struct Child {
    pid_t pid = -1;
    Descriptor exit;    // a pidfd, readable once it has ended; none on kernels before 5.3
    Descriptor output;  // the pipe's end, does not block
};

// Throws Error, with a sentence and the errno, when the program could not be started; then nothing is left of
// it. `null` is a descriptor of /dev/null, above 3. Returns once the program is running: exec takes as long
// as it takes the kernel to open the file.
Child spawn(const Program& program, int null, const Stack& stack);

// SIGKILL to the process group of a child that was not reaped.
void kill_group(pid_t pid);

// How the child ended; nullopt while it has not. Afterwards its pid means nothing. One that somebody else has
// reaped (SIGCHLD is ignored) counts as ended, with status -1.
std::optional<End> reap(pid_t pid);

// Do orphans become children of this process (1 of a container, say), so that nobody else reaps them?
bool inherits_orphans();

// Reaps those children of ours, of the group of a child that was killed and reaped, that have ended. True
// when none is left.
bool reap_group(pid_t group);

// Moves a descriptor above 3, where the child does not need the number. -1 stays -1.
Descriptor above_three(Descriptor fd);

}  // namespace pulse_exec
