#include "child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <gorb/plugin.hpp>
#include <mutex>

#include "errno_text.h"

namespace pulse_exec {

namespace {

using gorb::sdk::Error;

constexpr size_t stack_size = 64 * 1024;
constexpr rlim_t most_descriptors = 1024;

// Held while a child becomes another user, of all event loops.
std::mutex becoming;

// What the child does, in order; told with the errno when it goes wrong.
enum class Step { none, clone, session, descriptors, user, exec };

// All that the child needs, ready made: it shares our memory and our heap's locks, so it allocates nothing.
struct Order {
    int null, output, folder;
    const char* name;
    char* const* arguments;
    char* const* environment;
    const User* user;
    rlimit limit;
    unsigned highest;  // no descriptor of ours is above it, for kernels without close_range()
    volatile Step step;
    volatile int error;
};

// The child runs on our thread's local storage beside other threads of ours, and never returns: no function
// of the C library that keeps a state or a lock (setuid() would change all our threads), and no
// instrumentation.
#define GORB_EXEC_CHILD __attribute__((no_sanitize("address", "thread", "undefined"), no_stack_protector))

[[noreturn]] GORB_EXEC_CHILD void give_up(Order& order, Step step) {
    order.error = errno;
    order.step = step;
    for (;;) syscall(SYS_exit_group, 127);
}

GORB_EXEC_CHILD void reset_signals() {
    // struct sigaction as the kernel has it, at its longest; zeros are SIG_DFL, no flags, no mask.
    const std::array<unsigned long, 8> by_default{};
    for (int number = 1; number <= 64; ++number)
        syscall(SYS_rt_sigaction, number, by_default.data(), nullptr, 8);
    const unsigned long none = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, 8);
}

GORB_EXEC_CHILD void become(Order& order) {
    const User* user = order.user;
    if (!user) return;
    // The raw calls change this thread only, which is all there is of the child.
    if (syscall(SYS_setgroups, user->groups.size(), user->groups.data()) != 0) give_up(order, Step::user);
    if (syscall(SYS_setresgid, user->gid, user->gid, user->gid) != 0) give_up(order, Step::user);
    if (syscall(SYS_setresuid, user->uid, user->uid, user->uid) != 0) give_up(order, Step::user);
}

GORB_EXEC_CHILD void take_descriptors(Order& order) {
    // All three are above 3.
    if (syscall(SYS_dup3, order.null, 0, 0) < 0 || syscall(SYS_dup3, order.output, 1, 0) < 0 ||
        syscall(SYS_dup3, order.output, 2, 0) < 0 || syscall(SYS_dup3, order.folder, 3, O_CLOEXEC) < 0)
        give_up(order, Step::descriptors);
    if (syscall(SYS_close_range, 4, ~0U, 0) == 0) return;
    for (unsigned fd = 4; fd <= order.highest; ++fd) syscall(SYS_close, fd);
}

GORB_EXEC_CHILD int child(void* arg) {
    Order& order = *static_cast<Order*>(arg);
    if (syscall(SYS_setsid) < 0) give_up(order, Step::session);
    take_descriptors(order);
    if (syscall(SYS_chdir, "/") != 0) give_up(order, Step::session);
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &order.limit, nullptr);
    syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    become(order);
    syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // after the user: that would undo it
    reset_signals();
    const auto exec = [&]() GORB_EXEC_CHILD {
        return syscall(SYS_execveat, 3, order.name, order.arguments, order.environment, AT_SYMLINK_NOFOLLOW);
    };
    exec();
    if (errno == ENOENT) {  // a script: its interpreter has to find it through the descriptor
        syscall(SYS_fcntl, 3, F_SETFD, 0);
        exec();
    }
    give_up(order, Step::exec);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> all;
    all.reserve(texts.size() + 1);
    for (const std::string& text : texts) all.push_back(const_cast<char*>(text.c_str()));
    all.push_back(nullptr);
    return all;
}

std::string in_words(const Program& program, Step step, int err) {
    const std::string name = "\"" + program.name + "\"";
    const std::string as = program.user ? " by the user " + program.user->name : "";
    if (step == Step::user)
        return name + " could not be started as the user " + program.user->name + ": " + errno_text(err);
    if (step != Step::exec) return "no process could be made for " + name + ": " + errno_text(err);
    switch (err) {
        case ENOENT:
            return name +
                   " could not be started: the interpreter named in its first line is missing, or that line "
                   "ends in CR LF";
        case ENOEXEC:
            return name + " is no program: neither a binary of this machine nor a script that begins with #!";
        case EACCES:
            return name + " may not be run" + as + " (its mode, its folder's, or a mount with noexec)";
        case ELOOP:
            return name + " is a symbolic link; put a copy of the program there instead";
        default:
            return name + " could not be started: " + errno_text(err);
    }
}

}  // namespace

User User::find(const std::string& name) {
    User user;
    user.name = name;
    passwd entry{}, *found = nullptr;
    std::vector<char> buffer(16 * 1024);
    const int err = getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (!found)
        throw Error("option \"user\": there is no user \"" + name + "\"" +
                    (err ? " (" + errno_text(err) + ")" : ""));
    user.uid = entry.pw_uid;
    user.gid = entry.pw_gid;
    int count = 64;
    for (;;) {
        user.groups.resize(static_cast<size_t>(count));
        const int room = count;
        if (getgrouplist(name.c_str(), entry.pw_gid, user.groups.data(), &count) >= 0) break;
        if (count <= room) count = room * 2;
    }
    user.groups.resize(static_cast<size_t>(count));
    return user;
}

Stack::Stack()
    : memory_(mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) throw Error("no memory for a stack", ENOMEM);
}

Stack::~Stack() {
    munmap(memory_, stack_size);
}

void* Stack::top() const {
    return static_cast<char*>(memory_) + stack_size;  // grows downwards, on all machines that we know
}

Descriptor above_three(Descriptor fd) {
    if (!fd || fd.get() > 3) return fd;
    return Descriptor(fcntl(fd.get(), F_DUPFD_CLOEXEC, 4));
}

Child spawn(const Program& program, int null, const Stack& stack) {
    Child made;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw Error(in_words(program, Step::clone, errno), errno);
    made.output = Descriptor(ends[0]);
    const Descriptor writing = above_three(Descriptor(ends[1]));
    const Descriptor folder = above_three(Descriptor(fcntl(program.folder, F_DUPFD_CLOEXEC, 4)));
    if (!writing || !folder || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
        throw Error(in_words(program, Step::clone, errno), errno);

    const std::vector<char*> arguments = pointers(program.arguments),
                             environment = pointers(program.environment);
    Order order{null,
                writing.get(),
                folder.get(),
                program.name.c_str(),
                arguments.data(),
                environment.data(),
                program.user,
                {},
                65535,
                Step::none,
                0};
    getrlimit(RLIMIT_NOFILE, &order.limit);
    order.highest = static_cast<unsigned>(std::min<rlim_t>(order.limit.rlim_cur, 1 << 20));
    order.limit.rlim_cur = std::min(order.limit.rlim_cur, most_descriptors);

    // A child that becomes somebody else while it has our memory makes the kernel take that for memory that
    // must not be written out (a crash of ours would leave no core), which is undone once the child has its
    // own. One at a time: another one's is read as if it had been so, and undoing it would open our memory
    // to the other user, whose child still has it.
    std::unique_lock<std::mutex> alone(becoming, std::defer_lock);
    if (program.user) alone.lock();
    // No handler of ours may run in the child, which shares our memory.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const int dumpable = prctl(PR_GET_DUMPABLE);
    int pidfd = -1;
    const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    made.pid = clone(&child, stack.top(), flags, &order, &pidfd);
    const int err = errno;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (program.user && dumpable == 1) prctl(PR_SET_DUMPABLE, 1);
    if (alone) alone.unlock();

    made.exit = Descriptor(pidfd);
    if (made.pid < 0) throw Error(in_words(program, Step::clone, err), err);
    if (order.step == Step::none) return made;
    while (waitpid(made.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    throw Error(in_words(program, order.step, order.error), order.error);
}

void kill_group(pid_t pid) {
    if (pid > 1) kill(-pid, SIGKILL);
}

bool inherits_orphans() {
    int subreaper = 0;
    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper != 0);
}

bool reap_group(pid_t group) {
    for (;;) {
        const pid_t done = waitpid(-group, nullptr, WNOHANG);
        if (done == 0) return false;
        if (done < 0 && errno != EINTR) return true;
    }
}

std::optional<End> reap(pid_t pid) {
    int status = 0;
    const pid_t done = waitpid(pid, &status, WNOHANG);
    if (done == 0 || (done < 0 && errno == EINTR)) return std::nullopt;
    if (done < 0) return End{-1, 0};
    if (WIFSIGNALED(status)) return End{0, WTERMSIG(status)};
    return End{WEXITSTATUS(status), 0};
}

}  // namespace pulse_exec
