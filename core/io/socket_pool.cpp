#include "io/socket_pool.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <utility>
#include <vector>

#include "io/trouble.h"

namespace gorb::io {
namespace {

int connect_to(int fd, const SocketAddress& to) {
    return ::connect(fd, to.get(), to.size) == 0 ? 0 : errno;
}

int disconnect(int fd) {
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    return ::connect(fd, &nobody, sizeof nobody);
}

// Of a socket that was used before: it is not as a new one would be, and a new one may do. One that is bound
// to a device knows it by its number: what comes back under the same name has another.
bool spoiled(int error, const Way& way) {
    return error == EISCONN || error == EALREADY || error == EINVAL || error == EBADF || error == ENOTSUP ||
           error == ECONNABORTED || (!way.interface.empty() && our_trouble_at_once(error));
}

// Over IPv6 a socket goes on sending from a source that this machine has no more, and the answers are lost.
// Only a new one is told so, by bind().
bool serves_again(const Way& way) {
    return !way.source.ip || way.source.ip.v4();
}

// Three quarters of the descriptors that this process may have.
int many_descriptors() {
    constexpr rlim_t plenty = 1 << 30;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return plenty;
    return static_cast<int>(std::min(limit.rlim_cur, plenty) / 4 * 3);
}

void nobody_listens(void*, uint32_t) {}

}  // namespace

struct SocketPool::Group {
    Kind kind;
    std::vector<int> free;  // the one used last at the end: what is not needed collects at the front
    size_t least_free = 0;  // since the last look
};

struct SocketPool::Impl {
    explicit Impl(Loop& l) : loop(l) {}

    Group& group_of(const Kind& kind);
    base::Result<int> make(const Kind& kind);
    bool make_room();
    void close(int fd);
    void look_later();
    void look_round();

    Loop& loop;
    std::deque<Group> groups;
    Group* last = nullptr;  // most connections are of one
    size_t open = 0;
    TimerId look = 0;
};

SocketPool::Group& SocketPool::Impl::group_of(const Kind& kind) {
    if (last && last->kind == kind) return *last;
    for (Group& group : groups) {
        if (group.kind == kind) return *(last = &group);
    }
    Group& made = groups.emplace_back();
    made.kind = kind;
    return *(last = &made);
}

base::Result<int> SocketPool::Impl::make(const Kind& kind) {
    auto fd = make_socket(kind.af, SOCK_STREAM, kind.way);
    if (!fd && fd.error().os_error == EMFILE && make_room()) fd = make_socket(kind.af, SOCK_STREAM, kind.way);
    if (!fd) return fd;
    const int one = 1;
    // Where one of the two is not to be had, a connection costs more and tells the same.
    if (kind.holds_ack) setsockopt(*fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one);
    if (kind.few_syns) setsockopt(*fd, IPPROTO_TCP, TCP_SYNCNT, &one, sizeof one);
    if (auto status = loop.watch_edges(*fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, &nobody_listens, nullptr);
        !status) {
        ::close(*fd);
        return base::fail(std::move(status.error()));
    }
    ++open;
    return fd;
}

void SocketPool::Impl::close(int fd) {
    reset_on_close(fd);
    loop.close(fd);
    --open;
}

// Gives back a descriptor that nobody needs now.
bool SocketPool::Impl::make_room() {
    for (Group& group : groups) {
        if (group.free.empty()) continue;
        close(group.free.front());
        group.free.erase(group.free.begin());
        group.least_free = std::min(group.least_free, group.free.size());
        return true;
    }
    return false;
}

void SocketPool::Impl::look_later() {
    if (look != 0) return;
    look = loop.at(loop.now() + rest_ns, [this] {
        look = 0;
        look_round();
    });
}

// Closes what was not needed since the last look.
void SocketPool::Impl::look_round() {
    bool any = false;
    for (Group& group : groups) {
        const size_t unused = std::min(group.least_free, group.free.size());
        for (size_t i = 0; i < unused; ++i) close(group.free[i]);
        group.free.erase(group.free.begin(), group.free.begin() + static_cast<ptrdiff_t>(unused));
        group.least_free = group.free.size();
        any = any || !group.free.empty();
    }
    if (any) look_later();
}

SocketPool::SocketPool(Loop& loop) : impl_(std::make_unique<Impl>(loop)), many_(many_descriptors()) {}

SocketPool::~SocketPool() {
    impl_->loop.cancel(impl_->look);
    for (const Group& group : impl_->groups) {
        for (const int fd : group.free) impl_->close(fd);
    }
}

bool SocketPool::make_room() {
    return impl_->make_room();
}

size_t SocketPool::sockets() const {
    return impl_->open;
}

base::Result<SocketPool::Begun> SocketPool::connect(const Kind& kind, const base::Endpoint& peer,
                                                    Loop::EdgeFn fn, void* arg) {
    Group& group = impl_->group_of(kind);
    const SocketAddress to(peer, kind.way.scope);
    Begun begun{{-1, &group}};
    if (!group.free.empty()) {
        begun.socket.fd = group.free.back();
        group.free.pop_back();
        group.least_free = std::min(group.least_free, group.free.size());
        begun.error = connect_to(begun.socket.fd, to);
        if (spoiled(begun.error, kind.way)) impl_->close(std::exchange(begun.socket.fd, -1));
    }
    if (begun.socket.fd < 0) {
        auto made = impl_->make(kind);
        if (!made) return base::fail(std::move(made.error()));
        begun.socket.fd = *made;
        this->made(*made);
        begun.error = connect_to(*made, to);
    }
    // What a router would say comes later: this is a route of our own that says unreachable.
    if (our_trouble_at_once(begun.error)) {
        give(begun.socket);
        return base::fail(socket_error("can not connect to " + peer.text(), begun.error));
    }
    impl_->loop.hand_edges(begun.socket.fd, fn, arg);
    return begun;
}

void SocketPool::give(Socket socket) {
    if (!serves_again(socket.group->kind.way) || disconnect(socket.fd) != 0) return impl_->close(socket.fd);
    impl_->loop.hand_edges(socket.fd, &nobody_listens, nullptr);
    socket.group->free.push_back(socket.fd);
    impl_->look_later();
}

}  // namespace gorb::io
