#include "io/probe.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <utility>
#include <vector>

#include "io/trouble.h"

namespace gorb::io {
namespace {

// A deadline so near is over before a third SYN would be sent, so the kernel need not plan for more.
constexpr uint64_t few_syns_ns = 3'000'000'000;

struct Group;

}  // namespace

class Probe {
  public:
    ProbePool::Impl* pool = nullptr;
    Group* group = nullptr;
    ProbeEvents* events = nullptr;  // nullptr: not in flight
    TimerId timer = 0;              // the deadline, or what ends it in the next turn
    uint64_t turn = 0;              // in which it was begun
    int fd = -1;
    int why = 0;  // what `timer` will say
};

namespace {

// Sockets that are alike.
struct Group {
    int af = 0;
    bool few_syns = false;
    Way way;
    std::vector<Probe*> free;  // the one used last at the end: what is not needed collects at the front
    size_t least_free = 0;     // since the last look
};

int disconnect(int fd) {
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    return connect(fd, &nobody, sizeof nobody);
}

// Of a socket that was used before: it is not as a new one would be, and a new one may do.
bool spoiled(int error) {
    return error == EISCONN || error == EALREADY || error == EINVAL || error == EBADF || error == ENOTSUP ||
           error == ECONNABORTED;
}

}  // namespace

struct ProbePool::Impl {
    explicit Impl(Loop& l) : loop(l) {}

    Group& group_of(int af, bool few_syns, const Way& way);
    base::Result<Probe*> fresh(Group& group);
    base::Status open(Probe& probe, Group& group);
    void drop(Probe& probe);
    void rest(Probe& probe);
    bool make_room();
    void end(Probe& probe, int why);
    void look_round();
    static void on_event(void* arg, uint32_t events);

    Loop& loop;
    std::deque<Group> groups;
    Group* last = nullptr;  // most targets are of one
    std::deque<Probe> probes;
    std::vector<Probe*> closed;  // without a socket
    size_t open_sockets = 0;
    TimerId look = 0;
};

Group& ProbePool::Impl::group_of(int af, bool few_syns, const Way& way) {
    const auto fits = [&](const Group& group) {
        return group.af == af && group.few_syns == few_syns && group.way == way;
    };
    if (last && fits(*last)) return *last;
    for (Group& group : groups) {
        if (fits(group)) return *(last = &group);
    }
    Group& made = groups.emplace_back();
    made.af = af;
    made.few_syns = few_syns;
    made.way = way;
    return *(last = &made);
}

base::Status ProbePool::Impl::open(Probe& probe, Group& group) {
    auto fd = make_socket(group.af, SOCK_STREAM, group.way);
    if (!fd && fd.error().os_error == EMFILE && make_room()) {
        fd = make_socket(group.af, SOCK_STREAM, group.way);
    }
    if (!fd) return base::fail(std::move(fd.error()));
    const int defer = 1, few = 1;
    // Where one of the two is not to be had, the probe costs more and tells the same.
    setsockopt(*fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof defer);
    if (group.few_syns) setsockopt(*fd, IPPROTO_TCP, TCP_SYNCNT, &few, sizeof few);
    reset_on_close(*fd);
    if (auto status = loop.watch_edges(*fd, EPOLLOUT, &on_event, &probe); !status) {
        ::close(*fd);
        return status;
    }
    probe.fd = *fd;
    probe.group = &group;
    ++open_sockets;
    return {};
}

base::Result<Probe*> ProbePool::Impl::fresh(Group& group) {
    if (closed.empty()) {
        Probe& made = probes.emplace_back();
        made.pool = this;
        closed.push_back(&made);
    }
    Probe* probe = closed.back();
    if (auto status = open(*probe, group); !status) return base::fail(std::move(status.error()));
    std::erase(closed, probe);
    return probe;
}

// Closes the socket of one that is not in flight and in no list.
void ProbePool::Impl::drop(Probe& probe) {
    if (probe.fd >= 0) {
        (void)loop.watch(probe.fd, 0, nullptr);
        ::close(std::exchange(probe.fd, -1));
        --open_sockets;
    }
    closed.push_back(&probe);
}

// Gives back a descriptor that nobody needs now.
bool ProbePool::Impl::make_room() {
    for (Group& group : groups) {
        if (group.free.empty()) continue;
        Probe* idle = group.free.front();
        group.free.erase(group.free.begin());
        group.least_free = std::min(group.least_free, group.free.size());
        drop(*idle);
        return true;
    }
    return false;
}

// Its check is over: the socket waits for the next one.
void ProbePool::Impl::rest(Probe& probe) {
    probe.events = nullptr;
    loop.cancel(std::exchange(probe.timer, 0));
    if (disconnect(probe.fd) != 0) return drop(probe);
    probe.group->free.push_back(&probe);
    if (look == 0) {
        look = loop.at(loop.now() + rest_ns, [this] {
            look = 0;
            look_round();
        });
    }
}

void ProbePool::Impl::end(Probe& probe, int why) {
    ProbeEvents& events = *probe.events;
    rest(probe);
    events.probed(why);
}

void ProbePool::Impl::on_event(void* arg, uint32_t got) {
    Probe& probe = *static_cast<Probe*>(arg);
    Impl& pool = *probe.pool;
    // Not in flight: the echo of disconnect(). Begun in this turn: epoll told of what was before.
    if (!probe.events || probe.turn == pool.loop.turn() || probe.why != 0) return;
    if (got & EPOLLERR) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(probe.fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error == EACCES) error = EHOSTUNREACH;  // a router's "prohibited", over IPv6
        if (error != 0) return pool.end(probe, -error);
    }
    if (got & (EPOLLHUP | EPOLLERR)) return;  // an echo as well
    if (got & EPOLLOUT) pool.end(probe, 0);
}

// Closes what was not needed since the last look.
void ProbePool::Impl::look_round() {
    bool any = false;
    for (Group& group : groups) {
        const size_t unused = std::min(group.least_free, group.free.size());
        for (size_t i = 0; i < unused; ++i) drop(*group.free[i]);
        group.free.erase(group.free.begin(), group.free.begin() + static_cast<ptrdiff_t>(unused));
        group.least_free = group.free.size();
        any = any || !group.free.empty();
    }
    if (!any) return;
    look = loop.at(loop.now() + rest_ns, [this] {
        look = 0;
        look_round();
    });
}

ProbePool::ProbePool(Loop& loop) : impl_(std::make_unique<Impl>(loop)) {}

ProbePool::~ProbePool() {
    impl_->loop.cancel(impl_->look);
    for (Probe& probe : impl_->probes) {
        impl_->loop.cancel(probe.timer);
        if (probe.fd < 0) continue;
        (void)impl_->loop.watch(probe.fd, 0, nullptr);
        ::close(probe.fd);
    }
}

size_t ProbePool::sockets() const {
    return impl_->open_sockets;
}

base::Result<Probe*> ProbePool::start(const base::Endpoint& peer, const Way& way, uint64_t deadline,
                                      ProbeEvents& events, bool timer) {
    Impl& pool = *impl_;
    const bool few_syns = deadline != 0 && deadline <= pool.loop.now() + few_syns_ns;
    Group& group = pool.group_of(peer.ip.af(), few_syns, way);
    Probe* probe = nullptr;
    bool used = false;
    if (!group.free.empty()) {
        probe = group.free.back();
        group.free.pop_back();
        group.least_free = std::min(group.least_free, group.free.size());
        used = true;
    } else {
        auto made = pool.fresh(group);
        if (!made) return made;
        probe = *made;
    }
    const SocketAddress to(peer, way.scope);
    int error = connect(probe->fd, to.get(), to.size) == 0 ? 0 : errno;
    if (used && spoiled(error)) {
        pool.drop(*probe);
        auto made = pool.fresh(group);
        if (!made) return made;
        probe = *made;
        error = connect(probe->fd, to.get(), to.size) == 0 ? 0 : errno;
    }
    if (our_trouble(error) || error == EHOSTUNREACH) {
        pool.rest(*probe);
        return base::fail(socket_error("can not connect to " + peer.text(), error));
    }
    probe->events = &events;
    probe->turn = pool.loop.turn();
    probe->why = error == EINPROGRESS ? 0 : -error;
    if (error == EINPROGRESS) {
        if (deadline != 0 && timer) {
            probe->timer = pool.loop.at(deadline, [probe] {
                probe->timer = 0;
                probe->pool->end(*probe, -ETIMEDOUT);
            });
        }
    } else {
        // Decided already, and told in the next turn.
        probe->timer = pool.loop.at(0, [probe] {
            probe->timer = 0;
            probe->pool->end(*probe, std::exchange(probe->why, 0));
        });
    }
    return probe;
}

void ProbePool::cancel(Probe* probe) {
    if (!probe->events) return;
    probe->why = 0;
    impl_->rest(*probe);
}

}  // namespace gorb::io
